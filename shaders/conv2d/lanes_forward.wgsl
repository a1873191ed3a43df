// Convolution as implicit GEMM for software adapters: the lanes of a subgroup share what each of them loads.
//
//   y as in forward.wgsl; CI % 4 == 0, one group, subgroups of exactly LANES invocations. z counts independent
//   convolutions that lie one behind the other in x, w and y.
//
// A subgroup owns ROWS consecutive pixels x LANES · COLUMNS output channels. Lane l loads pixel l + LANES · i as vec4
// over the input channels; a shuffle with a constant lane, one instruction there, hands each value to all. The weights
// of a lane's own COLUMNS channels stay with it: channels Q·l … Q·l + Q − 1 of each block of LANES · Q, so that with
// OVEC = 1 (CO % Q == 0) stores are vecQ.
// SEGMENT > 0 (3 taps wide, stride and dilation 1, OW % SEGMENT == 0): the pixels are runs of SEGMENT in a row, so a run's
// SEGMENT + 2 input pixels are loaded once and serve all three taps.
// POINT = 1 (one tap): no loops over taps, which cost a long sum a thirtieth.
// STATS = 1 also writes, for each block of ROWS pixels and each channel, the mean of what the block stored and the sum of
// squared deviations from it (batch_norm.wgsl combines them), so the statistics cost no read of y.
// Memory: ROWS / LANES + COLUMNS loads of vec4 for 4 · ROWS · COLUMNS multiply-adds; no workgroup memory.

#import shared/index
#import shared/quad
#import shared/relu

#define SEGMENT 0
#define POINT 0
#define STATS 0
#define GROUP 8

#if COLUMNS > 4
#define Q 4
#else
#define Q COLUMNS
#endif

struct Params {
    pixels: u32, h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32,
    ci_group: u32, co_group: u32, tiles: u32, accumulate: u32,
}

// Y: Q channels as they lie in memory, or one.
#if !OVEC
alias Y = f32;
#elif Q == 4
alias Y = Quad;
alias V = vec4<f32>;
fn load(y: Y) -> V { return unquad(y); }
fn store(v: V) -> Y { return quad(v); }
fn relu_of(v: V) -> V { return relu4(v); }
#else
alias Y = Pair;
alias V = vec2<f32>;
fn load(y: Y) -> V { return unpair(y); }
fn store(v: V) -> Y { return pair(v); }
fn relu_of(v: V) -> V { return relu2(v); }
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> w: array<Quad>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<Y>;
#endif
#if RESIDUAL
@group(0) @binding(5) var<storage, read> residual: array<Y>;
#endif
#if STATS
@group(0) @binding(6) var<storage, read_write> part: array<f32>;
#endif

@compute @workgroup_size(64)
fn lanes_forward(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    // Neighbouring subgroups work on the same pixels, whose values are then in the cache.
    let id = folded_group(wid, groups) * ${64 / LANES}u + local / ${LANES}u;
    let block = id / p.tiles;
    let oc0 = (id % p.tiles) * ${LANES * COLUMNS}u + lane * ${Q}u;
    let lead = block * ${ROWS}u;
    let ci = p.ci / 4u;
    let row = p.kh * p.kw * ci;
#for j in 0..COLUMNS
    let w${j} = (wid.z * p.co + min(oc0 + ${(j / Q) * LANES * Q + j % Q}u, p.co - 1u)) * row;
#endfor
#if SEGMENT
#define SLOTS ROWS / SEGMENT * (SEGMENT + 2)
#define LOADS (SLOTS + LANES - 1) / LANES
#for i in 0..LOADS
    // Slot k holds pixel k % (SEGMENT + 2) of run k / (SEGMENT + 2), counted from where the leftmost tap begins.
    let k${i} = ${LANES * i}u + lane;
    let m${i} = min(lead + k${i} / ${SEGMENT + 2}u * ${SEGMENT}u, p.pixels - 1u);
    let t${i} = m${i} / p.ow;
    let h${i} = i32(t${i} % p.oh) - i32(p.padding);
    let v${i} = i32(m${i} % p.ow + k${i} % ${SEGMENT + 2}u) - i32(p.padding);
    let n${i} = (wid.z * (p.pixels / (p.oh * p.ow)) + t${i} / p.oh) * p.h;
#endfor
#else
#for i in 0..ROWS / LANES
    let m${i} = min(lead + ${LANES * i}u + lane, p.pixels - 1u);
    let t${i} = m${i} / p.ow;
    let h${i} = i32((t${i} % p.oh) * p.stride) - i32(p.padding);
    let v${i} = i32((m${i} % p.ow) * p.stride) - i32(p.padding);
    let n${i} = (wid.z * (p.pixels / (p.oh * p.ow)) + t${i} / p.oh) * p.h;
#endfor
#endif
#for r in 0..ROWS
#for j in 0..COLUMNS
    var a${r}_${j} = 0.0;
#endfor
#endfor
    // Rows of this block; one beyond the last pixel has nothing to sum. All bounds and conditions go by it, because Mesa compiles
    // a shader anew for the uniform values that alone decide where it goes.
    let live = min(${ROWS}u, p.pixels - min(lead, p.pixels));
#if POINT
    let rows = 1u;
#else
    let rows = select(0u, p.kh, live > 0u);
#endif
    let turns = select(0u, ci, live > 0u);
    for (var kh = 0u; kh < rows; kh++) {
#if SEGMENT
#for i in 0..LOADS
        let ih${i} = h${i} + i32(kh);
        let in${i} = ih${i} >= 0 && ih${i} < i32(p.h) && v${i} >= 0 && v${i} < i32(p.w);
        let x${i} = select(0u, ((n${i} + u32(ih${i})) * p.w + u32(v${i})) * ci, in${i});
#endfor
        let tap = kh * 3u * ci;
        for (var c = 0u; c < turns; c++) {
#for i in 0..LOADS
            let f${i} = select(vec4<f32>(0.0), unquad(x[x${i} + c]), in${i});
#endfor
#for k in 0..3
#for j in 0..COLUMNS
            let g${k}_${j} = unquad(w[w${j} + tap + ${k}u * ci + c]);
#endfor
#endfor
#for r in 0..ROWS
#for k in 0..3
#for e in 0..4
            let b${r}_${k}_${e} = subgroupShuffle(
                f${(r / SEGMENT * (SEGMENT + 2) + r % SEGMENT + k) / LANES}[${e}],
                ${(r / SEGMENT * (SEGMENT + 2) + r % SEGMENT + k) % LANES}u);
#for j in 0..COLUMNS
            a${r}_${j} = fma(b${r}_${k}_${e}, g${k}_${j}[${e}], a${r}_${j});
#endfor
#endfor
#endfor
#endfor
        }
#else
#if POINT
        let columns = 1u;
#else
        let columns = select(0u, p.kw, live > 0u);
#endif
        for (var kw = 0u; kw < columns; kw++) {
            let tap = (kh * p.kw + kw) * ci;
#for i in 0..ROWS / LANES
            let ih${i} = h${i} + i32(kh * p.dilation);
            let iw${i} = v${i} + i32(kw * p.dilation);
            let in${i} = ih${i} >= 0 && ih${i} < i32(p.h) && iw${i} >= 0 && iw${i} < i32(p.w);
            let x${i} = select(0u, ((n${i} + u32(ih${i})) * p.w + u32(iw${i})) * ci, in${i});
#endfor
            for (var c = 0u; c < turns; c++) {
#for i in 0..ROWS / LANES
                let f${i} = select(vec4<f32>(0.0), unquad(x[x${i} + c]), in${i});
#endfor
#for j in 0..COLUMNS
                let g${j} = unquad(w[w${j} + tap + c]);
#endfor
#for r in 0..ROWS
#for e in 0..4
                let b${r}_${e} = subgroupShuffle(f${r / LANES}[${e}], ${r % LANES}u);
#for j in 0..COLUMNS
                a${r}_${j} = fma(b${r}_${e}, g${j}[${e}], a${r}_${j});
#endfor
#endfor
#endfor
            }
        }
#endif
    }
#for j in 0..COLUMNS
    let o${j} = oc0 + ${(j / Q) * LANES * Q + j % Q}u;
#endfor
#if STATS
    let count = f32(live);
    if live > 0u {
#for j in 0..COLUMNS
        var s${j} = 0.0;
#for r in 0..ROWS
        s${j} += select(0.0, a${r}_${j}, ${r}.0 < count);
#endfor
        let u${j} = s${j} / count;
        var q${j} = 0.0;
#for r in 0..ROWS
        let d${j}_${r} = select(0.0, a${r}_${j} - u${j}, ${r}.0 < count);
        q${j} = fma(d${j}_${r}, d${j}_${r}, q${j});
#endfor
        if o${j} < p.co {
            part[block * 2u * p.co + o${j}] = u${j};
            part[(block * 2u + 1u) * p.co + o${j}] = q${j};
        }
#endfor
    }
#endif
    // One piece of code stores GROUP rows after the other, which move up in between: a driver compiles it the sooner.
    let base = (wid.z * p.pixels + lead) * p.co;
    let accumulate = p.accumulate != 0u && live > 0u;
    for (var first = 0u; first < live; first += ${GROUP}u) {
#for r in 0..GROUP
        if first + ${r}u < live {
            let to = base + (first + ${r}u) * p.co;
#if OVEC
#for j in 0..COLUMNS / Q
            if o${Q * j} < p.co {
                let at${j} = (to + o${Q * j}) / ${Q}u;
#if Q == 4
                var v = V(a${r}_${4 * j}, a${r}_${4 * j + 1}, a${r}_${4 * j + 2}, a${r}_${4 * j + 3});
#else
                var v = V(a${r}_${2 * j}, a${r}_${2 * j + 1});
#endif
#if BIAS
                v += load(bias[o${Q * j} / ${Q}u]);
#endif
#if RESIDUAL
                v += load(residual[at${j}]);
#endif
#if RELU
                v = relu_of(v);
#endif
                if accumulate {
                    v += load(y[at${j}]);
                }
                y[at${j}] = store(v);
            }
#endfor
#else
#for j in 0..COLUMNS
            if o${j} < p.co {
                var v = a${r}_${j};
#if BIAS
                v += bias[o${j}];
#endif
#if RESIDUAL
                v += residual[to + o${j}];
#endif
#if RELU
                v = relu1(v);
#endif
                if accumulate {
                    v += y[to + o${j}];
                }
                y[to + o${j}] = v;
            }
#endfor
#endif
        }
#endfor
#for r in 0..ROWS - GROUP
#for j in 0..COLUMNS
        a${r}_${j} = a${r + GROUP}_${j};
#endfor
#endfor
    }
}
