//! Places in an image: boxes of objects, as data, losses and metrics share them, and how varied images move.

mod warp;

pub use warp::Warp;

/// An axis-parallel rectangle in pixels, continuous: the pixel in row 0, column 0 covers `0.0..1.0` both ways.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "train", derive(serde::Serialize, serde::Deserialize))]
pub struct Rect {
    /// Left edge.
    pub x0: f32,
    /// Upper edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Lower edge.
    pub y1: f32,
}

impl Rect {
    /// From its left upper corner and its size.
    pub fn from_size(x: f32, y: f32, width: f32, height: f32) -> Self {
        Rect { x0: x, y0: y, x1: x + width, y1: y + height }
    }

    /// The smallest rectangle around these points; `None` without any.
    pub fn around(points: impl IntoIterator<Item = [f32; 2]>) -> Option<Self> {
        points.into_iter().fold(None, |all: Option<Rect>, [x, y]| {
            let all = all.unwrap_or(Rect { x0: x, y0: y, x1: x, y1: y });
            Some(Rect { x0: all.x0.min(x), y0: all.y0.min(y), x1: all.x1.max(x), y1: all.y1.max(y) })
        })
    }

    /// Columns it spans; negative where the edges are in the wrong order.
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }

    /// Rows it spans.
    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }

    /// Whether it covers anything at all; false for edges in the wrong order, and for any that is no number.
    pub fn is_proper(&self) -> bool {
        self.x1 > self.x0 && self.y1 > self.y0 && [self.x0, self.y0, self.x1, self.y1].iter().all(|v| v.is_finite())
    }

    /// Square pixels it covers.
    pub fn area(&self) -> f64 {
        f64::from(self.width()) * f64::from(self.height())
    }

    /// Square pixels that both cover.
    pub fn common(&self, other: &Rect) -> f64 {
        let width = f64::from(self.x1.min(other.x1)) - f64::from(self.x0.max(other.x0));
        let height = f64::from(self.y1.min(other.y1)) - f64::from(self.y0.max(other.y0));
        if width > 0.0 && height > 0.0 { width * height } else { 0.0 }
    }

    /// Intersection over union, in 0..=1; 0 where neither covers anything.
    pub fn iou(&self, other: &Rect) -> f64 {
        let common = self.common(other);
        if common > 0.0 { common / (self.area() + other.area() - common) } else { 0.0 }
    }

    /// The part inside an image of `[height, width]`.
    pub fn clipped(&self, [height, width]: [usize; 2]) -> Rect {
        let (h, w) = (height as f32, width as f32);
        let clamp = |v: f32, most: f32| v.clamp(0.0, most);
        Rect { x0: clamp(self.x0, w), y0: clamp(self.y0, h), x1: clamp(self.x1, w), y1: clamp(self.y1, h) }
    }

    /// The part inside `other`; not proper where there is none.
    pub fn within(&self, other: &Rect) -> Rect {
        let (x0, y0) = (self.x0.max(other.x0), self.y0.max(other.y0));
        Rect { x0, y0, x1: self.x1.min(other.x1), y1: self.y1.min(other.y1) }
    }

    /// Moved right by `dx` and down by `dy`.
    pub fn shifted(&self, dx: f32, dy: f32) -> Rect {
        Rect { x0: self.x0 + dx, y0: self.y0 + dy, x1: self.x1 + dx, y1: self.y1 + dy }
    }

    /// Stretched from the image's left upper corner, by `x` and `y`.
    pub fn scaled(&self, x: f32, y: f32) -> Rect {
        Rect { x0: self.x0 * x, y0: self.y0 * y, x1: self.x1 * x, y1: self.y1 * y }
    }

    /// Mirrored left-right in an image of that width.
    pub fn mirrored(&self, width: usize) -> Rect {
        let w = width as f32;
        Rect { x0: w - self.x1, x1: w - self.x0, ..*self }
    }
}

/// An object that a detector believes to see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Its box.
    pub rect: Rect,
    /// Its class.
    pub class: usize,
    /// How sure the detector is; only the order counts.
    pub score: f32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rects() -> impl Strategy<Value = Rect> {
        (0..40u16, 0..40u16, 1..40u16, 1..40u16)
            .prop_map(|(x, y, w, h)| Rect::from_size(f32::from(x), f32::from(y), f32::from(w), f32::from(h)))
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_unmoved_by_what_moves_both(a in rects(), b in rects(), dx in -9i8..9, dy in -9i8..9) {
            let iou = a.iou(&b);
            prop_assert!((0.0..=1.0).contains(&iou));
            prop_assert_eq!(iou, b.iou(&a));
            prop_assert_eq!(a.iou(&a), 1.0);
            let shift = |r: &Rect| r.shifted(f32::from(dx), f32::from(dy));
            prop_assert_eq!(shift(&a).iou(&shift(&b)), iou);
            prop_assert_eq!(a.mirrored(80).iou(&b.mirrored(80)), iou);
            prop_assert_eq!(a.mirrored(80).mirrored(80), a);
        }

        #[test]
        fn clipping_leaves_what_is_inside(a in rects()) {
            let image = Rect { x0: 0.0, y0: 0.0, x1: 24.0, y1: 30.0 };
            let clipped = a.clipped([30, 24]);
            prop_assert_eq!(clipped.area(), a.common(&image));
            prop_assert!(!clipped.is_proper() || clipped == a.within(&image));
            prop_assert_eq!(a.within(&image).is_proper(), clipped.is_proper());
            prop_assert_eq!(clipped.is_proper(), a.common(&image) > 0.0);
        }
    }

    #[test]
    fn by_hand() {
        let (a, b) = (Rect::from_size(0.0, 0.0, 4.0, 2.0), Rect::from_size(2.0, 0.0, 4.0, 2.0));
        assert_eq!((a.area(), a.common(&b), a.iou(&b)), (8.0, 4.0, 4.0 / 12.0));
        assert_eq!(
            Rect::around([[3.0, 1.0], [1.0, 5.0], [2.0, 2.0]]),
            Some(Rect { x0: 1.0, y0: 1.0, x1: 3.0, y1: 5.0 })
        );
        assert_eq!(Rect::around([]), None);
        let turned = Rect { x0: 3.0, y0: 0.0, x1: 1.0, y1: 2.0 };
        assert!(!turned.is_proper() && !Rect { x1: f32::NAN, ..a }.is_proper());
        assert_eq!(turned.common(&a), 0.0);
    }
}
