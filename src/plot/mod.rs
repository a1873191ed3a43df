//! What all pictures share, and the picture of a machine: canvas, axes, and the roofline.

pub(crate) mod axis;
pub(crate) mod draw;
pub mod roofline;

#[cfg(test)]
pub(crate) mod tests {
    /// Well-formed as XML: tags close in order, attributes are quoted, no bare `<` or `&`, every number is a number.
    pub(crate) fn check_svg(text: &str) {
        assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"));
        assert!(!text.contains("NaN") && !text.contains("inf\""));
        let mut open: Vec<&str> = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            let between = &rest[..start];
            assert!(!between.contains('>'), "{between}");
            for (i, _) in between.match_indices('&') {
                assert!(
                    ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"].iter().any(|e| between[i..].starts_with(e)),
                    "{between}"
                );
            }
            rest = &rest[start + 1..];
            let end = rest.find('>').expect("a tag ends");
            let tag = &rest[..end];
            rest = &rest[end + 1..];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
                open.push(tag.split_whitespace().next().expect("a tag has a name"));
            }
        }
        assert!(open.is_empty(), "{open:?} stay open");
    }
}
