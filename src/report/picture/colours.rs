//! Colours of classes.

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// Of each class, by number; `None` where it stays as it is.
pub(super) type Colours = Vec<Option<Colour>>;

/// Okabe and Ito's colours, which the colour-blind can tell apart too.
pub(super) const FIRST: [Colour; 8] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [213, 94, 0],
    [0, 114, 178],
    [204, 121, 167],
    [140, 140, 140],
];

/// A colour for each number, up to 255 all different: the first eight are [`FIRST`]'s, the others go round the circle of hues, each as far
/// as can be from those before (the golden section), bright, pale and dark in turn.
fn colour(number: usize) -> Colour {
    if let Some(first) = FIRST.get(number) {
        return *first;
    }
    let turn = number - FIRST.len();
    let hue = (turn as f64 * 0.618_033_988_75).fract() * 6.0;
    let (saturation, value) = match turn % 3 {
        0 => (0.85, 0.95),
        1 => (0.55, 0.8),
        _ => (0.9, 0.6),
    };
    // Of hue, saturation and value: how far red, green and blue are from their middles on the circle.
    [0.0, 4.0, 2.0].map(|shift: f64| {
        let part = (((hue + shift).rem_euclid(6.0) - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        (255.0 * value * (1.0 - saturation + saturation * part)) as u8
    })
}

/// The colours of a task's classes by number; what is called background or ground has none.
pub(super) fn of_classes<T: AsRef<str>>(names: &[T]) -> Colours {
    let plain = |name: &str| ["background", "ground"].iter().any(|word| name.eq_ignore_ascii_case(word));
    let mut next = 0..;
    names.iter().map(|name| if plain(name.as_ref()) { None } else { next.next().map(colour) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_class_but_the_ground_has_a_colour_of_its_own() {
        let names = ["person", "Background", "sky"];
        assert_eq!(of_classes(&names), [Some(FIRST[0]), None, Some(FIRST[1])]);
        let many: Vec<String> = (0..255).map(|i| i.to_string()).collect();
        let colours: BTreeSet<Colour> = of_classes(&many).into_iter().flatten().collect();
        assert_eq!(colours.len(), 255);
        // Red, where the circle begins.
        assert_eq!(colour(8), [242, 36, 36]);
    }
}
