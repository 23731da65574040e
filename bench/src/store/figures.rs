//! Medians, and how far the single measurements were apart.

use serde_json::{Value, json};

/// All figures of a campaign.
#[derive(Debug, Default)]
pub struct Figures {
    list: Vec<Value>,
}

impl Figures {
    /// Notes and prints the median of some measurements.
    pub fn note(&mut self, name: &str, unit: &str, measured: &[f64]) {
        let Some(median) = median(measured) else {
            return;
        };
        let lowest = measured.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = measured.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let spread = match measured.len() {
            1 => String::new(),
            count => format!("{} to {}, {count} times", short(lowest), short(highest)),
        };
        println!("{name:<44} {:>12} {unit:<10} {spread}", short(median));
        self.list
            .push(json!({ "name": name, "value": median, "unit": unit }));
        if measured.len() > 1 {
            let noise = (highest - lowest) / median;
            self.list
                .push(json!({ "name": format!("{name}/noise"), "value": noise, "unit": "ratio" }));
        }
    }

    /// As JSON: entries of name, value and unit. The names stay.
    pub fn json(&self) -> String {
        format!("{:#}\n", Value::from(self.list.clone()))
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn short(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        0.01.. => format!("{value:.4}"),
        _ => format!("{value:.6}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 3.0]), Some(3.0));
    }

    #[test]
    fn figures_have_a_name_a_value_and_a_unit() {
        let mut figures = Figures::default();
        figures.note("open", "s", &[1.0, 2.0, 3.0]);
        let parsed: Value = serde_json::from_str(&figures.json()).unwrap();
        assert_eq!(
            parsed,
            json!([
                { "name": "open", "value": 2.0, "unit": "s" },
                { "name": "open/noise", "value": 1.0, "unit": "ratio" },
            ])
        );
    }
}
