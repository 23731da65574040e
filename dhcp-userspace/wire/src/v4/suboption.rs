//! Options inside an option: relay agent information (RFC 3046 section 2.0) and its like.

/// One sub-option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubOption<'a> {
    /// Its code; all 256 values are possible, there is neither PAD nor END.
    pub code: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// Walks sub-options (RFC 3046 section 2.0 [relay-sub-options]: all codes are alike). One that runs out of the octets ends the walk: what came before it stands.
#[derive(Clone, Debug)]
pub struct SubOptions<'a> {
    rest: &'a [u8],
}

impl<'a> SubOptions<'a> {
    /// Over the data of an option, put together if it was split.
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }
}

impl<'a> Iterator for SubOptions<'a> {
    type Item = SubOption<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&[code, len], after) = self.rest.split_first_chunk::<2>()?;
        let (data, rest) = after.split_at_checked(usize::from(len))?;
        self.rest = rest;
        Some(SubOption { code, data })
    }
}
