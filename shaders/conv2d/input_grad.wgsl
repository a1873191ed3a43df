// The convolution's gradient with respect to its input, as implicit GEMM, registers only.
//
//   dx[n, ih, iw, ic] (+)= Σ_{kh, kw, oc} dy[n, (ih + p − kh·d) / s, (iw + p − kw·d) / s, oc] · w[oc, kh, kw, ic]
//
// over the taps where both quotients are whole and in range. With stride s the input pixels fall into s² parity
// classes; a workgroup serves one class (its z), so the taps that cannot divide are skipped by the whole group.
// An invocation owns TM pixels of its class × TN consecutive input channels. VEC = 4 loads dy as vec4 over the output
// channels (CO/G % 4 == 0); WVEC = 1 loads w and stores dx as vec4 over the input channels (CI/G % TN == 0, TN % 4 == 0).
// Memory: TM loads of dy and VEC·TN floats of w for TM·TN·VEC multiply-adds; no workgroup memory.

#import shared/index

struct Params {
    n: u32, h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32,
    ci_group: u32, co_group: u32, tiles: u32, pixels: u32, rows: u32, columns: u32, accumulate: u32,
}

#if VEC == 4
alias Y = vec4<f32>;
#else
alias Y = f32;
#endif
#if WVEC
alias W = vec4<f32>;
#else
alias W = f32;
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<Y>;
@group(0) @binding(2) var<storage, read> w: array<W>;
@group(0) @binding(3) var<storage, read_write> dx: array<W>;

@compute @workgroup_size(64)
fn input_grad(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = folded_group(wid, groups);
    let ic0 = (group % p.tiles) * ${TN}u;
    let lead = (group / p.tiles) * ${64 * TM}u + lane;
    // p.pixels = n · rows · columns, rows = ceil(h / s), columns = ceil(w / s): the largest parity class.
    if lead >= p.pixels {
        return;
    }
    let ph = wid.z / p.stride;
    let pw = wid.z % p.stride;
    let cog = p.co_group / ${VEC}u;
    let co = p.co / ${VEC}u;
    let block = ic0 / p.ci_group;
    let channel = ic0 % p.ci_group;
    let first = block * cog;
    let row = p.kh * p.kw * p.ci_group;
#for i in 0..TM
    let m${i} = min(lead + ${64 * i}u, p.pixels - 1u);
    let t${i} = m${i} / p.columns;
    let h${i} = (t${i} % p.rows) * p.stride + ph;
    let v${i} = (m${i} % p.columns) * p.stride + pw;
    let n${i} = t${i} / p.rows;
#for j in 0..TN
    var a${i}_${j} = 0.0;
#endfor
#endfor
    for (var kh = 0u; kh < p.kh; kh++) {
        // Adding a multiple of s keeps the remainder and avoids negative numbers.
        let th = ph + p.padding + p.kh * p.dilation * p.stride - kh * p.dilation;
        if th % p.stride != 0u {
            continue;
        }
        for (var kw = 0u; kw < p.kw; kw++) {
            let tw = pw + p.padding + p.kw * p.dilation * p.stride - kw * p.dilation;
            if tw % p.stride != 0u {
                continue;
            }
#for i in 0..TM
            let uh${i} = i32(h${i} + p.padding) - i32(kh * p.dilation);
            let uw${i} = i32(v${i} + p.padding) - i32(kw * p.dilation);
            let oh${i} = u32(max(uh${i}, 0)) / p.stride;
            let ow${i} = u32(max(uw${i}, 0)) / p.stride;
            let in${i} = uh${i} >= 0 && uw${i} >= 0 && oh${i} < p.oh && ow${i} < p.ow;
            let y${i} = select(0u, ((n${i} * p.oh + oh${i}) * p.ow + ow${i}) * co + first, in${i});
#endfor
            var wb = block * p.co_group * row + (kh * p.kw + kw) * p.ci_group + channel;
            for (var c = 0u; c < cog; c++) {
#for i in 0..TM
                let f${i} = select(Y(0.0), dy[y${i} + c], in${i});
#endfor
#for q in 0..VEC
#if WVEC
#for j in 0..TN / 4
                let g${q}_${j} = w[wb / 4u + ${j}u];
#for i in 0..TM
#if VEC == 4
                a${i}_${4 * j} = fma(f${i}[${q}], g${q}_${j}.x, a${i}_${4 * j});
                a${i}_${4 * j + 1} = fma(f${i}[${q}], g${q}_${j}.y, a${i}_${4 * j + 1});
                a${i}_${4 * j + 2} = fma(f${i}[${q}], g${q}_${j}.z, a${i}_${4 * j + 2});
                a${i}_${4 * j + 3} = fma(f${i}[${q}], g${q}_${j}.w, a${i}_${4 * j + 3});
#else
                a${i}_${4 * j} = fma(f${i}, g${q}_${j}.x, a${i}_${4 * j});
                a${i}_${4 * j + 1} = fma(f${i}, g${q}_${j}.y, a${i}_${4 * j + 1});
                a${i}_${4 * j + 2} = fma(f${i}, g${q}_${j}.z, a${i}_${4 * j + 2});
                a${i}_${4 * j + 3} = fma(f${i}, g${q}_${j}.w, a${i}_${4 * j + 3});
#endif
#endfor
#endfor
#else
#for j in 0..TN
                let g${q}_${j} = w[wb + min(${j}u, p.ci_group - 1u - channel)];
#for i in 0..TM
#if VEC == 4
                a${i}_${j} = fma(f${i}[${q}], g${q}_${j}, a${i}_${j});
#else
                a${i}_${j} = fma(f${i}, g${q}_${j}, a${i}_${j});
#endif
#endfor
#endfor
#endif
                wb += row;
#endfor
            }
        }
    }
#for i in 0..TM
    if lead + ${64 * i}u < p.pixels && h${i} < p.h && v${i} < p.w {
        let to = ((n${i} * p.h + h${i}) * p.w + v${i}) * p.ci + ic0;
#if WVEC
#for j in 0..TN / 4
        var r${j} = vec4<f32>(a${i}_${4 * j}, a${i}_${4 * j + 1}, a${i}_${4 * j + 2}, a${i}_${4 * j + 3});
        if p.accumulate != 0u {
            r${j} += dx[to / 4u + ${j}u];
        }
        dx[to / 4u + ${j}u] = r${j};
#endfor
#else
#for j in 0..TN
        if channel + ${j}u < p.ci_group {
            var r = a${i}_${j};
            if p.accumulate != 0u {
                r += dx[to + ${j}u];
            }
            dx[to + ${j}u] = r;
        }
#endfor
#endif
    }
#endfor
}
