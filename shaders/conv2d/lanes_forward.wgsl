// Convolution as implicit GEMM for software adapters: the lanes of a subgroup share what each of them loads.
//
//   y as in forward.wgsl; CI % 4 == 0, one group, subgroups of exactly LANES invocations. z counts independent
//   convolutions that lie one behind the other in x, w and y.
//
// A subgroup owns ROWS consecutive pixels x LANES · COLUMNS output channels. Lane l loads pixel l + LANES · i as vec4
// over the input channels; a shuffle with a constant lane, one instruction there, hands each value to all. The weights
// of a lane's own COLUMNS channels stay with it: channels Q·l … Q·l + Q − 1 of each block of LANES · Q, so that with
// Q = 4 and OVEC = 1 (CO % 4 == 0) stores are vec4.
// STATS = 1 also writes, for each block of ROWS pixels and each channel, the mean of what the block stored and the sum of
// squared deviations from it (batch_norm.wgsl combines them), so the statistics cost no read of y.
// Memory: ROWS / LANES + COLUMNS loads of vec4 for 4 · ROWS · COLUMNS multiply-adds; no workgroup memory.

#import shared/index
#import shared/quad

#define STATS 0

#if COLUMNS > 4
#define Q 4
#else
#define Q COLUMNS
#endif

struct Params {
    pixels: u32, h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32,
    ci_group: u32, co_group: u32, tiles: u32,
}

#if OVEC
alias Y = vec4<f32>;
#else
alias Y = f32;
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read> w: array<Quad>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>;
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
#for i in 0..ROWS / LANES
    let m${i} = min(lead + ${LANES * i}u + lane, p.pixels - 1u);
    let t${i} = m${i} / p.ow;
    let h${i} = i32((t${i} % p.oh) * p.stride) - i32(p.padding);
    let v${i} = i32((m${i} % p.ow) * p.stride) - i32(p.padding);
    let n${i} = (wid.z * (p.pixels / (p.oh * p.ow)) + t${i} / p.oh) * p.h;
#endfor
#for r in 0..ROWS
#for j in 0..COLUMNS
    var a${r}_${j} = 0.0;
#endfor
#endfor
    // A subgroup beyond the last pixel has nothing to sum.
    let rows = select(0u, p.kh, lead < p.pixels);
    for (var kh = 0u; kh < rows; kh++) {
        for (var kw = 0u; kw < p.kw; kw++) {
            let tap = (kh * p.kw + kw) * ci;
#for i in 0..ROWS / LANES
            let ih${i} = h${i} + i32(kh * p.dilation);
            let iw${i} = v${i} + i32(kw * p.dilation);
            let in${i} = ih${i} >= 0 && ih${i} < i32(p.h) && iw${i} >= 0 && iw${i} < i32(p.w);
            let x${i} = select(0u, ((n${i} + u32(ih${i})) * p.w + u32(iw${i})) * ci, in${i});
#endfor
            for (var c = 0u; c < ci; c++) {
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
    }
    let base = (wid.z * p.pixels + lead) * p.co;
#for j in 0..COLUMNS
    let o${j} = oc0 + ${(j / Q) * LANES * Q + j % Q}u;
#if BIAS
    let bias${j} = bias[min(o${j}, p.co - 1u)];
#for r in 0..ROWS
    a${r}_${j} += bias${j};
#endfor
#endif
#endfor
#for r in 0..ROWS
    if lead + ${r}u < p.pixels {
        let to = base + ${r}u * p.co;
#if OVEC
#for j in 0..COLUMNS / 4
        if o${4 * j} < p.co {
            var v = vec4<f32>(a${r}_${4 * j}, a${r}_${4 * j + 1}, a${r}_${4 * j + 2}, a${r}_${4 * j + 3});
#if RESIDUAL
            v += residual[(to + o${4 * j}) / 4u];
#endif
#if RELU
            v = max(v, vec4<f32>(0.0));
#endif
            y[(to + o${4 * j}) / 4u] = v;
        }
#endfor
#else
#for j in 0..COLUMNS
        if o${j} < p.co {
            var v = a${r}_${j};
#if RESIDUAL
            v += residual[to + o${j}];
#endif
#if RELU
            v = max(v, 0.0);
#endif
            y[to + o${j}] = v;
        }
#endfor
#endif
    }
#endfor
#if STATS
    let count = f32(min(${ROWS}u, p.pixels - min(lead, p.pixels)));
    if lead < p.pixels {
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
}
