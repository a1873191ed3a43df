//! Rectangles and words on a picture.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};

pub(super) const INK: Rgb<u8> = Rgb([20, 20, 20]);
const LETTER: i64 = 16;

/// A rectangle on a canvas: left, top, and what is behind it to the right and below.
pub(super) type Area = [i64; 4];

pub(super) fn fill(canvas: &mut RgbImage, [x0, y0, x1, y1]: Area, colour: Rgb<u8>) {
    for y in y0.max(0)..y1.min(canvas.height().into()) {
        for x in x0.max(0)..x1.min(canvas.width().into()) {
            canvas.put_pixel(x as u32, y as u32, colour);
        }
    }
}

/// The edges of an area, `thick` pixels wide, inside it.
pub(super) fn edges(canvas: &mut RgbImage, [x0, y0, x1, y1]: Area, thick: i64, colour: Rgb<u8>) {
    fill(canvas, [x0, y0, x1, y0 + thick], colour);
    fill(canvas, [x0, y1 - thick, x1, y1], colour);
    fill(canvas, [x0, y0, x0 + thick, y1], colour);
    fill(canvas, [x1 - thick, y0, x1, y1], colour);
}

/// Where a name may stand at a box: above it, below it, or within it above or below; within an image of that height and width.
fn places(text: &str, [x0, y0, _, y1]: Area, [h, w]: [usize; 2]) -> impl Iterator<Item = Area> {
    let (width, height) = (width_of(text) + 6, LETTER + 2);
    let x = x0.min(w as i64 - width).max(0);
    let inside = move |y: &i64| *y >= 0 && *y + height <= h as i64;
    [y0 - height, y1, y0, y1 - height].into_iter().filter(inside).map(move |y| [x, y, x + width, y + height])
}

/// The first of the places of a name where no other name is.
pub(super) fn free_place(text: &str, box_edges: Area, size: [usize; 2], taken: &[Area]) -> Option<Area> {
    let apart =
        |[a0, b0, a1, b1]: &Area| taken.iter().all(|t| *a1 <= t[0] || t[2] <= *a0 || *b1 <= t[1] || t[3] <= *b0);
    places(text, box_edges, size).find(apart)
}

/// The same, but over another name where there is no such place.
pub(super) fn some_place(text: &str, box_edges: Area, size: [usize; 2], taken: &[Area]) -> Area {
    let place = free_place(text, box_edges, size, taken).or_else(|| places(text, box_edges, size).next());
    let [x, y] = [box_edges[0].max(0), box_edges[1].max(0)];
    place.unwrap_or([x, y, x + width_of(text) + 6, y + LETTER + 2])
}

pub(super) fn width_of(text: &str) -> i64 {
    let one = noto_sans_mono_bitmap::get_raster_width(FontWeight::Regular, RasterHeight::Size16) as i64;
    one * text.chars().count() as i64
}

/// Writes a line whose left upper corner is at (x, y) and gives the place behind it. Letters beyond plain Latin become `?`.
pub(super) fn write(canvas: &mut RgbImage, text: &str, x: i64, y: i64, colour: Rgb<u8>) -> i64 {
    let mut x = x;
    for letter in text.chars() {
        let raster = |c: char| get_raster(c, FontWeight::Regular, RasterHeight::Size16);
        let Some(raster) = raster(letter).or_else(|| raster('?')) else { continue };
        for (row, line) in raster.rows().enumerate() {
            for (column, strength) in line.iter().enumerate().filter(|(_, s)| **s > 0) {
                let (px, py) = (x + column as i64, y + row as i64);
                if (0..i64::from(canvas.width())).contains(&px) && (0..i64::from(canvas.height())).contains(&py) {
                    let below = canvas.get_pixel(px as u32, py as u32).0;
                    let part = f32::from(*strength) / 255.0;
                    let mix = |k: usize| (f32::from(below[k]) * (1.0 - part) + f32::from(colour.0[k]) * part) as u8;
                    canvas.put_pixel(px as u32, py as u32, Rgb([mix(0), mix(1), mix(2)]));
                }
            }
        }
        x += raster.width() as i64;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_apart() {
        let (size, width) = ([100, 300], width_of("disc 90%") + 6);
        let place = |edges, taken: &[Area]| some_place("disc 90%", edges, size, taken);
        let above = place([20, 40, 60, 70], &[]);
        assert_eq!(above, [20, 22, 20 + width, 40]);
        // The same place again: below, then within; at the top edge within; at the right edge moved to the left.
        let below = place([20, 40, 60, 70], &[above]);
        assert_eq!(below[1], 70);
        let within = place([20, 40, 60, 70], &[above, below]);
        assert_eq!(within[1], 40);
        assert_eq!(place([20, 5, 60, 95], &[])[1], 5);
        assert_eq!(place([290, 40, 299, 70], &[])[2], 300);
        // Where none is free, it is over another one, or nowhere.
        let all = [above, below, [0, 40, 300, 70]];
        assert_eq!(place([20, 40, 60, 70], &all), above);
        assert_eq!(free_place("disc 90%", [20, 40, 60, 70], size, &all), None);
    }
}
