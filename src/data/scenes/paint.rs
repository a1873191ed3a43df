//! From draws to pixels.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::shape::{self, REACH, SHAPES};
use crate::data::seed;

/// Colours of objects: name, and red, green, blue.
pub(super) const COLOURS: [(&str, [f32; 3]); 4] =
    [("red", [0.85, 0.2, 0.2]), ("green", [0.2, 0.7, 0.25]), ("blue", [0.2, 0.35, 0.9]), ("yellow", [0.9, 0.8, 0.2])];

/// Part of an object that must be to be seen.
const VISIBLE: f32 = 0.4;

/// Points along each side of a pixel that are looked at for its colour.
const FINE: usize = 2;

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thing {
    pub shape: usize,
    pub colour: usize,
    centre: [f32; 2],
    radius: f32,
    turn: (f32, f32),
    paint: [f32; 3],
    texture: Texture,
    /// Of its foot, 0 (near) to 1 (far).
    depth: f32,
}

/// A pattern over a plane.
#[derive(Debug, Clone, PartialEq)]
struct Texture {
    kind: usize,
    /// Pixels of a period.
    scale: f32,
    /// How much it darkens.
    strength: f32,
    turn: (f32, f32),
    seed: u64,
}

/// A finished picture.
pub(super) struct Picture {
    pub size: [usize; 2],
    /// `[h, w, 3]`.
    pub pixels: Vec<u8>,
    /// `[h, w]`: the number of the object that is to be seen, from 1; 0 is ground.
    pub owner: Vec<u8>,
    /// `[h, w]`, 0 (near) to 1 (far).
    pub depth: Vec<f32>,
    pub things: Vec<Thing>,
}

struct Ground {
    paint: [f32; 3],
    texture: Texture,
    noise: f32,
    /// How dark the far end is.
    shade: f32,
}

impl Picture {
    /// The scene of this seed. Objects of which too little would be to be seen are left out.
    pub(super) fn draw(size: [usize; 2], most: usize, scene_seed: u64) -> Picture {
        let mut rng = seed::stream(scene_seed);
        let side = size[0].min(size[1]) as f32;
        let base = rng.random_range(0.3..0.7f32);
        let tint = |rng: &mut ChaCha8Rng| base + rng.random_range(-0.12..0.12f32);
        let ground = Ground {
            paint: [tint(&mut rng), tint(&mut rng), tint(&mut rng)],
            texture: Texture::draw(&mut rng, side, 0.35),
            noise: rng.random_range(0.01..0.06f32),
            shade: rng.random_range(0.0..0.3f32),
        };
        let count = rng.random_range(1..=most);
        let mut things: Vec<Thing> = (0..count).map(|_| Thing::draw(&mut rng, size, side)).collect();
        // Far ones first, so that near ones cover them.
        things.sort_by(|a, b| b.depth.total_cmp(&a.depth));
        let owner = loop {
            let owner = owners(size, &things);
            let Some(hidden) = things.iter().enumerate().position(|(i, t)| !visible(size, &owner, i, t)) else {
                break owner;
            };
            things.remove(hidden);
        };
        // In the smallest pictures an object can be too small to be seen; there is always one.
        if things.is_empty() {
            return Self::draw(size, most, seed::derive(scene_seed, "again"));
        }
        let mut picture = Picture { size, pixels: Vec::new(), depth: Vec::new(), owner, things };
        picture.paint(&ground, &mut rng);
        picture
    }

    fn paint(&mut self, ground: &Ground, rng: &mut ChaCha8Rng) {
        let [h, w] = self.size;
        self.pixels.reserve_exact(h * w * 3);
        for y in 0..h {
            for x in 0..w {
                let mut sum = [0.0f32; 3];
                for sub in 0..FINE * FINE {
                    let at = |i: usize, k: usize| i as f32 + (k as f32 + 0.5) / FINE as f32;
                    let colour = self.colour(at(x, sub % FINE), at(y, sub / FINE), ground);
                    sum.iter_mut().zip(colour).for_each(|(s, c)| *s += c);
                }
                let grain = ground.noise * (rng.random_range(-1.0..1.0f32) + rng.random_range(-1.0..1.0f32));
                self.pixels.extend(sum.map(|s| byte(s / (FINE * FINE) as f32 + grain)));
                let owner = self.owner[y * w + x];
                let depth = match owner.checked_sub(1) {
                    Some(i) => self.things[usize::from(i)].depth,
                    None => far(y as f32 + 0.5, h),
                };
                self.depth.push(depth);
            }
        }
    }

    fn colour(&self, x: f32, y: f32, ground: &Ground) -> [f32; 3] {
        match self.things.iter().rev().find(|t| t.holds(x, y)) {
            Some(thing) => {
                let dark = thing.texture.at(x - thing.centre[0], y - thing.centre[1]);
                thing.paint.map(|c| c * (1.0 - dark))
            }
            None => {
                let dark = ground.texture.at(x, y) + ground.shade * far(y, self.size[0]);
                ground.paint.map(|c| c * (1.0 - dark))
            }
        }
    }
}

/// How far the ground is at a row: from 0 at the lower edge to 1 at the upper one.
fn far(y: f32, h: usize) -> f32 {
    1.0 - y / h as f32
}

fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// The number of the nearest object at each pixel's middle, from 1; 0 without one.
fn owners([h, w]: [usize; 2], things: &[Thing]) -> Vec<u8> {
    let at = |p: usize| {
        let (x, y) = ((p % w) as f32 + 0.5, (p / w) as f32 + 0.5);
        things.iter().rposition(|t| t.holds(x, y)).map_or(0, |i| i as u8 + 1)
    };
    (0..h * w).map(at).collect()
}

/// Whether enough of object `i` is to be seen, in pixels and as a part of what lies within the picture.
fn visible([h, w]: [usize; 2], owner: &[u8], i: usize, thing: &Thing) -> bool {
    let whole = (0..h * w).filter(|p| thing.holds((p % w) as f32 + 0.5, (p / w) as f32 + 0.5)).count();
    let seen = owner.iter().filter(|o| usize::from(**o) == i + 1).count();
    seen >= 6 && seen as f32 >= VISIBLE * whole as f32
}

impl Thing {
    fn draw(rng: &mut ChaCha8Rng, [h, w]: [usize; 2], side: f32) -> Thing {
        let radius = side * rng.random_range(0.11..0.26f32);
        let along = |rng: &mut ChaCha8Rng, length: usize| {
            let room = 0.6 * radius;
            room + rng.random_range(0.0..1.0f32) * (length as f32 - 2.0 * room)
        };
        let centre = [along(rng, w), along(rng, h)];
        let colour = rng.random_range(0..COLOURS.len());
        let (light, jitter) = (rng.random_range(0.75..1.15f32), 0.08);
        let paint = COLOURS[colour].1.map(|c| c * light + rng.random_range(-jitter..jitter));
        Thing {
            shape: rng.random_range(0..SHAPES.len()),
            colour,
            centre,
            radius,
            turn: shape::turn(rng.random_range(0.0..1.0f32)),
            paint,
            texture: Texture::draw(rng, side, 0.45),
            depth: far(centre[1] + radius, h).clamp(0.0, 1.0),
        }
    }

    /// Whether the point is inside it.
    fn holds(&self, x: f32, y: f32) -> bool {
        let (x, y) = ((x - self.centre[0]) / self.radius, (y - self.centre[1]) / self.radius);
        if x.abs() > REACH || y.abs() > REACH {
            return false;
        }
        let (cos, sin) = self.turn;
        shape::inside(self.shape, cos * x + sin * y, cos * y - sin * x)
    }
}

impl Texture {
    fn draw(rng: &mut ChaCha8Rng, side: f32, strongest: f32) -> Texture {
        Texture {
            kind: rng.random_range(0..4),
            scale: side * rng.random_range(0.06..0.2f32),
            strength: rng.random_range(0.1..strongest),
            turn: shape::turn(rng.random_range(0.0..1.0f32)),
            seed: rng.random::<u64>(),
        }
    }

    /// How much darker the point is, 0 to 1.
    fn at(&self, x: f32, y: f32) -> f32 {
        let (cos, sin) = self.turn;
        let (u, v) = ((cos * x + sin * y) / self.scale, (cos * y - sin * x) / self.scale);
        let (a, b) = (u - u.floor(), v - v.floor());
        let part = match self.kind {
            // Plain, stripes, dots, clouds.
            0 => 0.0,
            1 => f32::from(u8::from(a < 0.5)),
            2 => f32::from(u8::from((a - 0.5) * (a - 0.5) + (b - 0.5) * (b - 0.5) < 0.09)),
            _ => self.clouds(u, v, a, b),
        };
        self.strength * part
    }

    /// Noise at the corners of a grid, smoothly joined.
    fn clouds(&self, u: f32, v: f32, a: f32, b: f32) -> f32 {
        let corner = |du: i64, dv: i64| {
            let cell = seed::derive_n(self.seed ^ (u.floor() as i64 + du) as u64, (v.floor() as i64 + dv) as u64);
            (cell >> 40) as f32 / (1u64 << 24) as f32
        };
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let mix = |p: f32, q: f32, t: f32| p + (q - p) * t;
        let (a, b) = (smooth(a), smooth(b));
        mix(mix(corner(0, 0), corner(1, 0), a), mix(corner(0, 1), corner(1, 1), a), b)
    }
}
