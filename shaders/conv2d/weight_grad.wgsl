// The convolution's gradient with respect to its weight: a product over all output pixels, split over workgroups (z)
// and summed in a fixed order by a second pass.
//
//   dw[oc, kh, kw, ic] (+)= Σ_{n, oh, ow} dy[n, oh, ow, oc] · x[n, oh·s − p + kh·d, ow·s − p + kw·d, ic]
//
// weight_grad: an invocation owns TI consecutive input channels of one tap × TO consecutive output channels; the lanes
// of a group own different taps and input channels and share dy, whose loads are uniform. Split z sums the output rows
// (n, oh) in [z · chunk, (z + 1) · chunk) into part[z]. IVEC = 1 loads x as vec4 (CI/G % TI == 0, TI % 4 == 0),
// OVEC = 1 loads dy as vec4 (CO/G % TO == 0, TO % 4 == 0).
// sum_parts: dw (+)= Σ_z part[z], one weight an invocation.

#import shared/index

struct Params {
    rows: u32, h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32,
    ci_group: u32, co_group: u32, tiles: u32, input_tiles: u32, lanes: u32, chunk: u32,
}

#if IVEC
alias X = vec4<f32>;
#else
alias X = f32;
#endif
#if OVEC
alias Y = vec4<f32>;
#else
alias Y = f32;
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read> dy: array<Y>;
@group(0) @binding(3) var<storage, read_write> part: array<f32>;

@compute @workgroup_size(64)
fn weight_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let oc0 = (wid.x % p.tiles) * ${TO}u;
    let id = (wid.x / p.tiles) * 64u + lane;
    if id >= p.lanes {
        return;
    }
    let tap = id / p.input_tiles;
    let kh = tap / p.kw;
    let kw = tap % p.kw;
    let channel = (id % p.input_tiles) * ${TI}u;
    let ic0 = (oc0 / p.co_group) * p.ci_group + channel;
    let dh = i32(kh * p.dilation) - i32(p.padding);
    let dw = i32(kw * p.dilation) - i32(p.padding);
#for i in 0..TI
#for j in 0..TO
    var a${i}_${j} = 0.0;
#endfor
#endfor
    let last = min((wid.z + 1u) * p.chunk, p.rows);
    for (var r = wid.z * p.chunk; r < last; r++) {
        let ih = i32((r % p.oh) * p.stride) + dh;
        let row_in = ih >= 0 && ih < i32(p.h);
        let xrow = ((r / p.oh) * p.h + u32(max(ih, 0))) * p.w;
        var iw = dw;
        var yb = r * p.ow * p.co + oc0;
        for (var o = 0u; o < p.ow; o++) {
            let ok = row_in && iw >= 0 && iw < i32(p.w);
            let xb = select(0u, (xrow + u32(iw)) * p.ci + ic0, ok);
#if IVEC
#for i in 0..TI / 4
            let f${i} = select(vec4<f32>(0.0), x[xb / 4u + ${i}u], ok);
#endfor
#else
#for i in 0..TI
            let f${i} = select(0.0, x[xb + select(0u, min(${i}u, p.ci_group - 1u - channel), ok)], ok);
#endfor
#endif
#if OVEC
#for j in 0..TO / 4
            let g${j} = dy[yb / 4u + ${j}u];
#endfor
#else
#for j in 0..TO
            let g${j} = dy[yb + min(${j}u, p.co - 1u - oc0)];
#endfor
#endif
#for i in 0..TI
#for j in 0..TO
            a${i}_${j} = fma(
#if IVEC
                f${i / 4}[${i % 4}],
#else
                f${i},
#endif
#if OVEC
                g${j / 4}[${j % 4}],
#else
                g${j},
#endif
                a${i}_${j});
#endfor
#endfor
            iw += i32(p.stride);
            yb += p.co;
        }
    }
    let size = p.co * p.kh * p.kw * p.ci_group;
#for j in 0..TO
    if oc0 + ${j}u < p.co {
        let to = wid.z * size + ((oc0 + ${j}u) * p.kh * p.kw + tap) * p.ci_group + channel;
#for i in 0..TI
        if channel + ${i}u < p.ci_group {
            part[to + ${i}u] = a${i}_${j};
        }
#endfor
    }
#endfor
}

struct SumParams { size: u32, parts: u32, accumulate: u32 }

@group(0) @binding(0) var<uniform> q: SumParams;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;

@compute @workgroup_size(64)
fn sum_parts(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= q.size {
        return;
    }
    var sum = 0.0;
    for (var z = 0u; z < q.parts; z++) {
        sum += parts[z * q.size + i];
    }
    if q.accumulate != 0u {
        sum += total[i];
    }
    total[i] = sum;
}
