/// Colours of a cell: background and a text colour that can be read on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shade {
    /// `#rrggbb`.
    pub background: String,
    /// `#rrggbb`.
    pub ink: &'static str,
}

/// A colour scale: a value range and the colours at equal distances over it.
/// Values outside take the colour of the nearer end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Value of the first colour.
    pub low: f64,
    /// Value of the last colour.
    pub high: f64,
    stops: &'static [[u8; 3]],
}

/// Orange for worse than nothing, white at zero, blue for better: told apart
/// with every common form of colour blindness (after ColorBrewer's PuOr and
/// RdBu). Two parts below zero, four above.
const AROUND_ZERO: &[[u8; 3]] = &[
    [0xb8, 0x5c, 0x12],
    [0xec, 0xb3, 0x73],
    [0xf6, 0xf3, 0xec],
    [0xc6, 0xdd, 0xec],
    [0x86, 0xb8, 0xd9],
    [0x3c, 0x83, 0xba],
    [0x10, 0x49, 0x84],
];

/// The same hues with as many steps on either side.
const BALANCED: &[[u8; 3]] =
    &[[0xb8, 0x5c, 0x12], [0xec, 0xb3, 0x73], [0xf6, 0xf3, 0xec], [0x86, 0xb8, 0xd9], [0x10, 0x49, 0x84]];

/// Dark where the error is small.
const ERRORS: &[[u8; 3]] = &[[0x2d, 0x4f, 0x73], [0x6b, 0x8f, 0xb0], [0xb3, 0xc9, 0xda], [0xf1, 0xef, 0xea]];

impl Scale {
    /// For R2 and correlations. Negative R2 has no bound; the scale ends at
    /// -0.5 so that it does not drown the differences that matter.
    pub const SCORE: Scale = Scale { low: -0.5, high: 1.0, stops: AROUND_ZERO };

    /// For differences between two models, `reach` either way.
    pub fn difference(reach: f64) -> Scale {
        Scale { low: -reach, high: reach, stops: BALANCED }
    }

    /// For errors between zero and `high`.
    pub fn error(high: f64) -> Scale {
        Scale { low: 0.0, high, stops: ERRORS }
    }

    /// The colours of `value`.
    pub fn shade(&self, value: f64) -> Shade {
        let last = self.stops.len() - 1;
        let span = if self.high > self.low { self.high - self.low } else { 1.0 };
        let at = ((value - self.low) / span).clamp(0.0, 1.0) * last as f64;
        let step = (at.floor() as usize).min(last.saturating_sub(1));
        let part = at - step as f64;
        let mix = |c: usize| {
            let (a, b) = (self.stops[step][c] as f64, self.stops[step + 1][c] as f64);
            (a + (b - a) * part).round() as u8
        };
        let [r, g, b] = [mix(0), mix(1), mix(2)];
        let light = luminance([r, g, b]);
        // The pair of the higher WCAG contrast ratio.
        let ink =
            if (light + 0.05).powi(2) > 1.05 * (luminance(DARK) + 0.05) { "#14171a" } else { "#ffffff" };
        Shade { background: format!("#{r:02x}{g:02x}{b:02x}"), ink }
    }

    /// The scale as a CSS gradient from left to right.
    pub fn gradient(&self) -> String {
        let stops: Vec<String> =
            self.stops.iter().map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}")).collect();
        format!("linear-gradient(90deg,{})", stops.join(","))
    }
}

const DARK: [u8; 3] = [0x14, 0x17, 0x1a];

/// Relative luminance as WCAG 2 defines it.
fn luminance(colour: [u8; 3]) -> f64 {
    let linear = |c: u8| {
        let c = c as f64 / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_neutral_colour_and_ends_hold_beyond_them() {
        assert_eq!(Scale::SCORE.shade(0.0).background, "#f6f3ec");
        assert_eq!(Scale::SCORE.shade(-9.0), Scale::SCORE.shade(-0.5));
        assert_eq!(Scale::SCORE.shade(1.0).ink, "#ffffff");
        assert_eq!(Scale::difference(0.2).shade(0.0).background, "#f6f3ec");
    }

    #[test]
    fn text_can_be_read_on_every_colour() {
        for scale in [Scale::SCORE, Scale::difference(0.2), Scale::error(1.0)] {
            for i in 0..=200 {
                let shade = scale.shade(scale.low + (scale.high - scale.low) * i as f64 / 200.0);
                let channel = |at| u8::from_str_radix(&shade.background[at..at + 2], 16).unwrap();
                let back = luminance([channel(1), channel(3), channel(5)]);
                let ink = if shade.ink == "#ffffff" { 1.0 } else { luminance(DARK) };
                let contrast = (back.max(ink) + 0.05) / (back.min(ink) + 0.05);
                assert!(contrast >= 4.3, "contrast {contrast} on {}", shade.background);
            }
        }
    }
}
