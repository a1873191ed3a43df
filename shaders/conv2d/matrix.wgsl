// Convolution as implicit GEMM on cooperative matrices: the forward pass (GRAD = 0) and the gradient with respect to the input
// (GRAD = 1), with operands rounded to f16 and sums in f32.
//
//   y[n, oh, ow, oc]    = relu( Σ x[n, oh·s − p + kh·d, ow·s − p + kw·d, ic] · w[oc, kh, kw, ic] + bias[oc] + residual )
//   dx[n, ih, iw, ic] (+)= Σ dy[n, (ih + p − kh·d) / s, (iw + p − kw·d) / s, oc] · w[oc, kh, kw, ic]
//
// C = A · B with A gathered from an image, B the weights, cut into products, tiles, terms and parts as in tiled.wgsl; z counts
// the remainder by the stride and, above it, the part. A workgroup computes BM pixels x BN channels; see shared/matrix for
// who owns what. Channels of either tensor come in groups of a multiple of 4, so all loads and stores are vec4.
// While a tile is multiplied the next one is on its way into registers. Two barriers a tile, and two for each matrix of
// results.
//
// Memory: every float a group loads meets BM · BN / (BM + BN) multiply-adds: 64 for 128x128, 32 for 64x64, 26 for 128x32.
// Each subgroup reads FM + FN matrices from workgroup memory for FM · FN products.

#define A_TERMS 1
#if GRAD
#define B_TERMS 0
#else
#define B_TERMS 1
#endif

#import shared/matrix
#import shared/index
#import shared/relu

// Vec4s of terms in a line; lines of A, and lines of B, that the lanes fetch at a time; and how often.
#define KB BK / 4
#define A_STEP WIDTH / KB
#define A_LOADS BM / A_STEP
#if GRAD
#define B_STEP WIDTH / (BN / 4)
#define B_LOADS (BK + B_STEP - 1) / B_STEP
#else
#define B_STEP A_STEP
#define B_LOADS (BN + B_STEP - 1) / B_STEP
#endif

struct Params {
    h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32, ci_group: u32, co_group: u32,
    // The rows of the product, as n · high · wide; column tiles in all and of a group of channels; tiles of terms a part.
    pixels: u32, high: u32, wide: u32, tiles: u32, tiles_group: u32, chunk: u32, size: u32,
    accumulate: u32, gap: u32, reach: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
#endif
#if RESIDUAL
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>;
#endif

#import shared/places

@compute @workgroup_size(${WIDTH})
fn matrix(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let group = folded_group(wid, groups);
    let block = (group % p.tiles) / p.tiles_group;
    let left = ((group % p.tiles) % p.tiles_group) * ${BN}u;
    let top = (group / p.tiles) * ${BM}u;
#if GRAD
    let classes = p.stride * p.stride;
    let part = wid.z / classes;
    let ph = (wid.z % classes) / p.stride;
    let pw = wid.z % p.stride;
    let rows = taps(ph, p.kh);
    let cols = taps(pw, p.kw);
    let th = select(0u, rows.count, cols.count > 0u);
    let tw = max(cols.count, 1u);
    let reach = -i32(p.reach);
    let sh = p.oh;
    let sw = p.ow;
    let all = p.co;
    let channels = p.co_group;
    let columns = p.ci_group;
#else
    let part = wid.z;
    let th = p.kh;
    let tw = p.kw;
    let reach = i32(p.dilation);
    let sh = p.h;
    let sw = p.w;
    let all = p.ci;
    let channels = p.ci_group;
    let columns = p.co_group;
#endif
    let depth = th * tw * channels;
    let first = part * p.chunk;
    let last = max(min(first + p.chunk, (depth + ${BK - 1}u) / ${BK}u), first);

    // What this lane fetches: of A the vec4 of terms `ka` of the rows ra + i · A_STEP. Rows beyond the last repeat it: their
    // sums are not stored.
    let ka = lane % ${KB}u;
    let ra = lane / ${KB}u;
#for i in 0..A_LOADS
    let m${i} = min(top + ra + ${i * A_STEP}u, p.pixels - 1u);
    let l${i} = m${i} / p.wide;
    let n${i} = (l${i} / p.high) * sh;
#if GRAD
    let h${i} = i32(l${i} % p.high) + rows.shift;
    let v${i} = i32(m${i} % p.wide) + cols.shift;
#else
    let h${i} = i32((l${i} % p.high) * p.stride) - i32(p.padding);
    let v${i} = i32((m${i} % p.wide) * p.stride) - i32(p.padding);
#endif
#endfor
    // Of B the same for the forward pass; else the vec4 of columns `nb` of the terms kb + i · B_STEP.
#if GRAD
    let nb = lane % ${BN / 4}u;
    let kb = lane / ${BN / 4}u;
    let wn = min(left + 4u * nb, columns - 4u);
    let row = p.kh * p.kw * columns;
#else
#for i in 0..B_LOADS
    let w${i} = (block * columns + min(left + ra + ${i * B_STEP}u, columns - 1u)) * depth;
#endfor
#endif

    // The places of the first terms.
    var k = first * ${BK}u + 4u * ka;
    var place = vec3<u32>(k % channels, (k / channels) % tw, (k / channels) / tw);
#if GRAD
#for i in 0..B_LOADS
    let k${i} = first * ${BK}u + kb + ${i * B_STEP}u;
    var place${i} = vec3<u32>(k${i} % channels, (k${i} / channels) % tw, (k${i} / channels) / tw);
#endfor
#endif
    let by = vec3<u32>(${BK}u % channels, (${BK}u / channels) % tw, (${BK}u / channels) / tw);

    let own = subgroup % ${SUBGROUPS}u;
    let down = (own / ${ACROSS}u) * ${FM * EDGE}u;
    let across = (own % ${ACROSS}u) * ${FN * EDGE}u;
#for i in 0..FM
#for j in 0..FN
    var c${i}_${j} = Sums();
#endfor
#endfor

    // Once before the loop and then in it: fetches the next tile, adds the one before, stores. The tile after the last one is
    // fetched in vain, so that no branch lies between the loads and their use.
#for stage in 0..2
#if stage == 0
    {
#else
    for (var t = first; t < last; t++) {
#endif
#for i in 0..A_LOADS
        let y${i} = u32(h${i} + i32(place.z) * reach);
        let x${i} = u32(v${i} + i32(place.y) * reach);
        let in${i} = place.z < th && y${i} < sh && x${i} < sw;
        let at${i} = ((n${i} + y${i}) * sw + x${i}) * all + block * channels + place.x;
        let f${i} = source[select(0u, at${i} / 4u, in${i})];
#endfor
#for i in 0..B_LOADS
#if GRAD
        let live${i} = place${i}.z < th;
        let tap${i} = (rows.first + place${i}.z * p.gap) * p.kw + cols.first + place${i}.y * p.gap;
        let base${i} = select(0u, (block * channels + place${i}.x) * row + tap${i} * columns, live${i});
        let g${i} = w[(base${i} + wn) / 4u];
        place${i} = onward(place${i}, by, channels, tw);
#else
        let live${i} = k < depth;
        let g${i} = w[select(0u, (w${i} + k) / 4u, live${i})];
#endif
#endfor
        k += ${BK}u;
        place = onward(place, by, channels, tw);
#if stage == 1
#import shared/matrix_step
        workgroupBarrier();
#endif
#for i in 0..A_LOADS
        keep((ra + ${i * A_STEP}u) * ${PITCH_A}u + 4u * ka, f${i}, in${i});
#endfor
#for i in 0..B_LOADS
#if GRAD
        if kb + ${i * B_STEP}u < ${BK}u {
            keep(${B_START}u + (kb + ${i * B_STEP}u) * ${PITCH_B}u + 4u * nb, g${i}, live${i});
        }
#else
        if ra + ${i * B_STEP}u < ${BN}u {
            keep(${B_START}u + (ra + ${i * B_STEP}u) * ${PITCH_B}u + 4u * ka, g${i}, live${i});
        }
#endif
#endfor
        workgroupBarrier();
    }
#endfor

#for i in 0..FM
#for j in 0..FN
    coopStoreT(c${i}_${j}, &sums[own * ${AREA}u], ${EDGE}u);
    workgroupBarrier();
    for (var q = lane; q < ${SUBGROUPS * AREA / 4}u; q += ${WIDTH}u) {
        let who = q / ${AREA / 4}u;
        let line = (q % ${AREA / 4}u) / ${EDGE / 4}u;
        let o = top + (who / ${ACROSS}u) * ${FM * EDGE}u + ${i * EDGE}u + line;
        let col = left + (who % ${ACROSS}u) * ${FN * EDGE}u + ${j * EDGE}u + 4u * (q % ${EDGE / 4}u);
#if GRAD
        let ol = o / p.wide;
        let oh = (ol % p.high) * p.stride + ph;
        let ow = (o % p.wide) * p.stride + pw;
        let inside = o < p.pixels && col < columns && oh < p.h && ow < p.w;
        let to = (part * p.size + (((ol / p.high) * p.h + oh) * p.w + ow) * p.ci + block * columns + col) / 4u;
#else
        let inside = o < p.pixels && col < columns;
        let to = (part * p.size + o * p.co + block * columns + col) / 4u;
#endif
        if inside {
            var v = vec4<f32>(sums[4u * q], sums[4u * q + 1u], sums[4u * q + 2u], sums[4u * q + 3u]);
#if BIAS
            v += bias[(block * columns + col) / 4u];
#endif
#if RESIDUAL
            v += residual[to];
#endif
#if RELU
            v = relu4(v);
#endif
#if GRAD
            if p.accumulate != 0u {
                v += out[to];
            }
#endif
            out[to] = v;
        }
    }
    workgroupBarrier();
#endfor
#endfor
}
