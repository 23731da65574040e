//! Options that belong to vendors: blocks of an enterprise number and data (RFC 3925 sections 3 and 4).

/// What one vendor says, or is told, in option 124 or 125.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorBlock<'a> {
    /// The vendor's number (IANA "Private Enterprise Numbers").
    pub enterprise: u32,
    /// Option 124: opaque to all but the vendor. Option 125: sub-options.
    pub data: &'a [u8],
}

/// Walks the blocks. One that runs out of the octets ends the walk: what came before it stands.
#[derive(Clone, Debug)]
pub struct VendorBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> VendorBlocks<'a> {
    /// Over the data of an option, put together if it was split.
    ///
    /// RFC 3925 section 3 [vendor-options-join]: several options of the code are one after the other, as
    /// RFC 3396 has it.
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }
}

impl<'a> Iterator for VendorBlocks<'a> {
    type Item = VendorBlock<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&[a, b, c, d, len], after) = self.rest.split_first_chunk::<5>()?;
        let (data, rest) = after.split_at_checked(usize::from(len))?;
        self.rest = rest;
        Some(VendorBlock {
            enterprise: u32::from_be_bytes([a, b, c, d]),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    // RFC 3925 section 3 [vendor-options-join]
    #[test]
    fn blocks_come_one_after_the_other_until_one_is_cut() {
        let octets = [
            0, 0, 0x11, 0x8b, 2, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 7, 3, 1, 2,
        ];
        let blocks: Vec<_> = VendorBlocks::new(&octets).collect();
        let block = |enterprise, data| VendorBlock { enterprise, data };
        assert_eq!(blocks, [block(4491, &[1, 0][..]), block(9, &[])]);
        for len in 0..octets.len() {
            let cut = octets.get(..len).unwrap_or_default();
            assert_eq!(
                VendorBlocks::new(cut).count(),
                usize::from(len >= 7) + usize::from(len >= 12)
            );
        }
    }
}
