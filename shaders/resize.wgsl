// A map in another size, as PyTorch's `interpolate`.
//   nearest        output (i, j) is input (⌊i·H/OH⌋, ⌊j·W/OW⌋); one invocation: one output
//   nearest_grad   one invocation: one input, which gathers from the outputs that took it: rows ⌈r·OH/H⌉ to ⌈(r+1)·OH/H⌉ (exclusive)
//   bilinear       output i lies at s = max((i + ½)·H/OH − ½, 0) between inputs ⌊s⌋ and ⌊s⌋ + 1 (the last one at most), columns alike
//                  (`align_corners=False`); one invocation: one output
//   bilinear_grad  one invocation: one input, which gathers from the outputs that lie beside it
//
// x, dx [n, h, w, c]; y, dy [n, oh, ow, c]; an invocation has one channel, or four of them (VEC = 4, c counts fours then).
// Memory: nearest reads each value once, bilinear up to four times.
// Positions are exact fractions of 2·OH in u32, so that both ways agree on them.

#import shared/index
#import shared/map

struct Params { n: u32, h: u32, w: u32, c: u32, oh: u32, ow: u32, accumulate: u32 }

#if VEC == 4
alias X = vec4<f32>;
#else
alias X = f32;
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<X>;

@compute @workgroup_size(64)
fn nearest(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.n * p.oh * p.ow * p.c {
        return;
    }
    let at = map_place(id, p.oh, p.ow, p.c);
    y[id] = x[map_index(vec4<u32>(at.x, at.y * p.h / p.oh, at.z * p.w / p.ow, at.w), p.h, p.w, p.c)];
}

@group(0) @binding(1) var<storage, read> dy: array<X>;
@group(0) @binding(2) var<storage, read_write> dx: array<X>;

// The first output that takes input i or one after it.
fn first(i: u32, size: u32, out: u32) -> u32 {
    return (i * out + size - 1u) / size;
}

@compute @workgroup_size(64)
fn nearest_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.n * p.h * p.w * p.c {
        return;
    }
    let at = map_place(id, p.h, p.w, p.c);
    var sum = X();
    if p.accumulate != 0u {
        sum = dx[id];
    }
    for (var i = first(at.y, p.h, p.oh); i < first(at.y + 1u, p.h, p.oh); i++) {
        for (var j = first(at.z, p.w, p.ow); j < first(at.z + 1u, p.w, p.ow); j++) {
            sum += dy[map_index(vec4<u32>(at.x, i, j, at.w), p.oh, p.ow, p.c)];
        }
    }
    dx[id] = sum;
}

// The two inputs of an output, and the share of the second.
struct Between { low: u32, high: u32, share: f32 }

fn between(i: u32, size: u32, out: u32) -> Between {
    let at = max((2u * i + 1u) * size, out) - out;
    let low = at / (2u * out);
    return Between(low, min(low + 1u, size - 1u), f32(at - low * 2u * out) / f32(2u * out));
}

@group(0) @binding(1) var<storage, read> source: array<X>;
@group(0) @binding(2) var<storage, read_write> scaled: array<X>;

@compute @workgroup_size(64)
fn bilinear(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.n * p.oh * p.ow * p.c {
        return;
    }
    let at = map_place(id, p.oh, p.ow, p.c);
    let i = between(at.y, p.h, p.oh);
    let j = between(at.z, p.w, p.ow);
    let a = source[map_index(vec4<u32>(at.x, i.low, j.low, at.w), p.h, p.w, p.c)];
    let b = source[map_index(vec4<u32>(at.x, i.low, j.high, at.w), p.h, p.w, p.c)];
    let c = source[map_index(vec4<u32>(at.x, i.high, j.low, at.w), p.h, p.w, p.c)];
    let d = source[map_index(vec4<u32>(at.x, i.high, j.high, at.w), p.h, p.w, p.c)];
    let upper = a + j.share * (b - a);
    scaled[id] = upper + i.share * (c + j.share * (d - c) - upper);
}

// The share of input `at` in output i: what `between` says of it, without its division.
fn share_of(at: u32, i: u32, size: u32, out: u32) -> f32 {
    let here = max((2u * i + 1u) * size, out) - out;
    let mine = at * 2u * out;
    let away = max(here, mine) - min(here, mine);
    let rest = f32(2u * out - min(away, 2u * out)) / f32(2u * out);
    // What lies behind the last input is its alone.
    return select(rest, 1.0, here >= mine && at + 1u == size);
}

// The first output that may lie between input at − 1 and another one, and the first behind input at + 1.
fn reach(at: u32, size: u32, out: u32) -> vec2<u32> {
    let low = select(0u, ((2u * at - 1u) * out) / (2u * size), at > 0u);
    let high = select(out, ((2u * at + 3u) * out) / (2u * size) + 1u, at + 1u < size);
    return vec2<u32>(max(low, 1u) - 1u, min(high, out));
}

@compute @workgroup_size(64)
fn bilinear_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.n * p.h * p.w * p.c {
        return;
    }
    let at = map_place(id, p.h, p.w, p.c);
    let rows = reach(at.y, p.h, p.oh);
    let columns = reach(at.z, p.w, p.ow);
    var sum = X();
    if p.accumulate != 0u {
        sum = dx[id];
    }
    for (var i = rows.x; i < rows.y; i++) {
        let share = share_of(at.y, i, p.h, p.oh);
        for (var j = columns.x; j < columns.y; j++) {
            sum += share * share_of(at.z, j, p.w, p.ow) * dy[map_index(vec4<u32>(at.x, i, j, at.w), p.oh, p.ow, p.c)];
        }
    }
    dx[id] = sum;
}
