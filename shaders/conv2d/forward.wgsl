// Convolution as implicit GEMM, registers only.
//
//   y[n, oh, ow, oc] = relu( Σ_{kh, kw, ic} x[n, oh·s − p + kh·d, ow·s − p + kw·d, ic] · w[oc, kh, kw, ic] + bias[oc] + residual[n, oh, ow, oc] )
//
// x [N, H, W, CI], w [CO, KH, KW, CI/G] (K-contiguous), y and residual [N, OH, OW, CO].
// An invocation owns TM pixels (64 apart) × TN consecutive output channels; the lanes of a group own neighbouring
// pixels and share the channels, so weight loads are uniform. VEC = 4 loads the input channels as vec4 (CI/G % 4 == 0),
// OVEC = 1 stores as vec4 (CO % 4 == 0 and TN % 4 == 0).
// Memory: TM + TN loads of VEC floats for TM·TN·VEC multiply-adds; no workgroup memory.

#import shared/index
#import shared/relu

struct Params {
    pixels: u32, h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32,
    ci_group: u32, co_group: u32, tiles: u32,
}

#if VEC == 4
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
@group(0) @binding(2) var<storage, read> w: array<X>;
@group(0) @binding(3) var<storage, read_write> y: array<Y>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>;
#endif
#if RESIDUAL
@group(0) @binding(5) var<storage, read> residual: array<Y>;
#endif

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = folded_group(wid, groups);
    let oc0 = (group % p.tiles) * ${TN}u;
    let lead = (group / p.tiles) * ${64 * TM}u + lane;
    if lead >= p.pixels {
        return;
    }
    // Channels are counted in units of VEC.
    let cig = p.ci_group / ${VEC}u;
    let ci = p.ci / ${VEC}u;
    let first = (oc0 / p.co_group) * cig;
    let row = p.kh * p.kw * cig;
#for j in 0..TN
    let w${j} = min(oc0 + ${j}u, p.co - 1u) * row;
#endfor
#for i in 0..TM
    let m${i} = min(lead + ${64 * i}u, p.pixels - 1u);
    let t${i} = m${i} / p.ow;
    let h${i} = i32((t${i} % p.oh) * p.stride) - i32(p.padding);
    let v${i} = i32((m${i} % p.ow) * p.stride) - i32(p.padding);
    let n${i} = (t${i} / p.oh) * p.h;
#for j in 0..TN
    var a${i}_${j} = 0.0;
#endfor
#endfor
    for (var kh = 0u; kh < p.kh; kh++) {
        for (var kw = 0u; kw < p.kw; kw++) {
            let tap = (kh * p.kw + kw) * cig;
#for i in 0..TM
            let ih${i} = h${i} + i32(kh * p.dilation);
            let iw${i} = v${i} + i32(kw * p.dilation);
            let in${i} = ih${i} >= 0 && ih${i} < i32(p.h) && iw${i} >= 0 && iw${i} < i32(p.w);
            let x${i} = select(0u, ((n${i} + u32(ih${i})) * p.w + u32(iw${i})) * ci + first, in${i});
#endfor
            for (var c = 0u; c < cig; c++) {
#for i in 0..TM
                let f${i} = select(X(0.0), x[x${i} + c], in${i});
#endfor
#for j in 0..TN
                let g${j} = w[w${j} + tap + c];
#for i in 0..TM
#if VEC == 4
                a${i}_${j} = fma(f${i}.x, g${j}.x, a${i}_${j});
                a${i}_${j} = fma(f${i}.y, g${j}.y, a${i}_${j});
                a${i}_${j} = fma(f${i}.z, g${j}.z, a${i}_${j});
                a${i}_${j} = fma(f${i}.w, g${j}.w, a${i}_${j});
#else
                a${i}_${j} = fma(f${i}, g${j}, a${i}_${j});
#endif
#endfor
#endfor
            }
        }
    }
#for i in 0..TM
    if lead + ${64 * i}u < p.pixels {
#if OVEC
#for j in 0..TN / 4
        if oc0 + ${4 * j}u < p.co {
            let at = (m${i} * p.co + oc0) / 4u + ${j}u;
            var v = vec4<f32>(a${i}_${4 * j}, a${i}_${4 * j + 1}, a${i}_${4 * j + 2}, a${i}_${4 * j + 3});
#if BIAS
            let b = oc0 + ${4 * j}u;
            v += vec4<f32>(bias[b], bias[b + 1u], bias[b + 2u], bias[b + 3u]);
#endif
#if RESIDUAL
            v += residual[at];
#endif
#if RELU
            v = relu4(v);
#endif
            y[at] = v;
        }
#endfor
#else
#for j in 0..TN
        if oc0 + ${j}u < p.co {
            let at = m${i} * p.co + oc0 + ${j}u;
            var v = a${i}_${j};
#if BIAS
            v += bias[oc0 + ${j}u];
#endif
#if RESIDUAL
            v += residual[at];
#endif
#if RELU
            v = relu1(v);
#endif
            y[at] = v;
        }
#endfor
#endif
    }
#endfor
}
