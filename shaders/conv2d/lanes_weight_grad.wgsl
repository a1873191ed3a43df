// The convolution's gradient with respect to its weight for software adapters: lanes share what each of them loads.
//
//   dw as in weight_grad.wgsl; CO % 4 == 0, one group, subgroups of exactly LANES invocations; z counts independent
//   convolutions that lie one behind the other in x, dy and part[split].
//
// A weight's columns are its (kh, kw, ic), contiguous in memory; a unit is VEC of them (VEC = 4 needs CI % 4 == 0).
// A subgroup owns ROWS output channels x LANES · UNITS units of one split of the output rows (n, oh). One vec4 load a lane
// brings dy of PIXELS = 4 · LANES / ROWS pixels, which shuffles hand to all; x stays with the lane that owns its column.
// WINDOW = 1 (3 taps wide, stride and dilation 1, VEC = 4, UNITS = 1): a unit is four input channels of a row of taps, so
// that each x is loaded once and slides through the row's three sums.
// Memory: 1 + PIXELS · UNITS loads for PIXELS · ROWS · UNITS · VEC multiply-adds; no workgroup memory.

#import shared/index
#import shared/quad

#define WINDOW 0
#define GROUP 8
#define PIXELS 4 * LANES / ROWS
#if WINDOW
// Sums of a lane for each output channel.
#define SUMS 3
#else
#define SUMS UNITS
#endif

struct Params {
    rows: u32, h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32,
    ci_group: u32, co_group: u32, tiles: u32, units: u32, unit_tiles: u32, splits: u32, chunk: u32,
}

#if VEC == 4
alias X = vec4<f32>;
alias L = Quad;
fn load(l: L) -> X { return unquad(l); }
fn store(v: X) -> L { return quad(v); }
#else
alias X = f32;
alias L = f32;
fn load(l: L) -> X { return l; }
fn store(v: X) -> L { return v; }
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<L>;
@group(0) @binding(2) var<storage, read> dy: array<Quad>;
@group(0) @binding(3) var<storage, read_write> part: array<L>;

@compute @workgroup_size(64)
fn lanes_weight_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let id = folded_group(wid, groups) * ${64 / LANES}u + local / ${LANES}u;
    let oc0 = ((id / p.unit_tiles) % p.tiles) * ${ROWS}u;
    let split = id / (p.unit_tiles * p.tiles);
    let ci = p.ci / ${VEC}u;
    let co = p.co / 4u;
#for j in 0..UNITS
    let u${j} = ((id % p.unit_tiles) * ${UNITS}u + ${j}u) * ${LANES}u + lane;
    let s${j} = min(u${j}, p.units - 1u);
    let c${j} = s${j} % ci;
#if WINDOW
    let dh${j} = i32(s${j} / ci) - i32(p.padding);
#else
    let dh${j} = i32((s${j} / ci / p.kw) * p.dilation) - i32(p.padding);
    let dw${j} = i32((s${j} / ci % p.kw) * p.dilation) - i32(p.padding);
#endif
#endfor
    // Which pixel and which quad of output channels this lane loads.
    let ahead = lane / ${ROWS / 4}u;
    let quad = min(oc0 / 4u + lane % ${ROWS / 4}u, co - 1u);
#for r in 0..ROWS
#for j in 0..SUMS
    var a${r}_${j} = X(0.0);
#endfor
#endfor
    let first = split * p.chunk;
    let last = select(0u, min(first + p.chunk, p.rows), split < p.splits);
    // All bounds go by the split, see lanes_forward.
    let width = select(0u, p.ow, first < last);
    for (var r = first; r < last; r++) {
        let oh = i32((r % p.oh) * p.stride);
        let image = (wid.z * (p.rows / p.oh) + r / p.oh) * p.h;
#for j in 0..UNITS
        let ih${j} = oh + dh${j};
        let in${j} = ih${j} >= 0 && ih${j} < i32(p.h);
        let x${j} = (image + u32(max(ih${j}, 0))) * p.w;
#endfor
        let yb = (wid.z * p.rows + r) * p.ow;
#if WINDOW
        // What the first two taps see of the first pixel; the third tap's comes in the loop.
#for k in 0..2
        let iw${k} = ${k} - i32(p.padding);
        let ok${k} = in0 && iw${k} >= 0 && iw${k} < i32(p.w);
        var g${k} = select(X(0.0), load(x[select(0u, (x0 + u32(iw${k})) * ci + c0, ok${k})]), ok${k});
#endfor
#endif
        for (var o = 0u; o < width; o += ${PIXELS}u) {
#if PIXELS > 1
            let f = select(vec4<f32>(0.0), unquad(dy[(yb + min(o + ahead, p.ow - 1u)) * co + quad]), o + ahead < p.ow);
#else
            let f = unquad(dy[(yb + o) * co + quad]);
#endif
#if WINDOW
#for k in 2..PIXELS + 2
            let iw${k} = i32(o) + ${k} - i32(p.padding);
            let ok${k} = in0 && iw${k} >= 0 && iw${k} < i32(p.w);
            let g${k} = select(X(0.0), load(x[select(0u, (x0 + u32(iw${k})) * ci + c0, ok${k})]), ok${k});
#endfor
#for k in 0..PIXELS
#for r in 0..ROWS
            let b${k}_${r} = subgroupShuffle(f[${r % 4}], ${k * (ROWS / 4) + r / 4}u);
#for j in 0..3
            a${r}_${j} = fma(X(b${k}_${r}), g${k + j}, a${r}_${j});
#endfor
#endfor
#endfor
            g0 = g${PIXELS};
            g1 = g${PIXELS + 1};
#else
#for k in 0..PIXELS
#for j in 0..UNITS
            let iw${k}_${j} = i32((o + ${k}u) * p.stride) + dw${j};
            let ok${k}_${j} = in${j} && iw${k}_${j} >= 0 && iw${k}_${j} < i32(p.w);
            let l${k}_${j} = x[select(0u, (x${j} + u32(iw${k}_${j})) * ci + c${j}, ok${k}_${j})];
            let g${k}_${j} = select(X(0.0), load(l${k}_${j}), ok${k}_${j});
#endfor
#for r in 0..ROWS
            let b${k}_${r} = subgroupShuffle(f[${r % 4}], ${k * (ROWS / 4) + r / 4}u);
#for j in 0..UNITS
            a${r}_${j} = fma(X(b${k}_${r}), g${k}_${j}, a${r}_${j});
#endfor
#endfor
#endfor
#endif
        }
    }
    // Stored as lanes_forward does.
    let live = select(0u, min(p.co - min(oc0, p.co), ${ROWS}u), split < p.splits);
    let base = (split * groups.z + wid.z) * p.co + oc0;
    for (var first = 0u; first < live; first += ${GROUP}u) {
#for r in 0..GROUP
#for j in 0..UNITS
        if first + ${r}u < live && u${j} < p.units {
#if WINDOW
            let to = (base + first + ${r}u) * p.units * 3u + u${j} / ci * 3u * ci + c${j};
#for k in 0..3
            part[to + ${k}u * ci] = store(a${r}_${k});
#endfor
#else
            part[(base + first + ${r}u) * p.units + u${j}] = store(a${r}_${j});
#endif
        }
#endfor
#endfor
#for r in 0..ROWS - GROUP
#for j in 0..SUMS
        a${r}_${j} = a${r + GROUP}_${j};
#endfor
#endfor
    }
}
