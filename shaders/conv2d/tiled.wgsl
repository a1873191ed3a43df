// Convolution as implicit GEMM through workgroup memory: the forward pass (GRAD = 0) and the gradient with respect to the
// input (GRAD = 1) are one product C = A · B with A gathered from an image, B the weights.
//
//   y[n, oh, ow, oc]    = relu( Σ x[n, oh·s − p + kh·d, ow·s − p + kw·d, ic] · w[oc, kh, kw, ic] + bias[oc] + residual )
//   dx[n, ih, iw, ic] (+)= Σ dy[n, (ih + p − kh·d) / s, (iw + p − kw·d) / s, oc] · w[oc, kh, kw, ic]
//
// The input gradient falls into s² dense products, one for each remainder of (ih, iw) by s: of the taps only those whose
// quotients are whole are visited, every `gap`-th one, and each moves the place in dy by `reach`. z counts, from the low
// end, the remainder, the item of a batch of convolutions that lie one behind the other, and the part of the terms; each
// part of each item has its own `size` values of `out` (tiled_sum adds the parts). The groups of x and y are tiles, column
// tiles first, so that neighbours share rows of A.
//
// A group computes BM pixels x BN channels; see shared/tile for who owns what. Terms run over taps outside and channels
// inside, and each lane carries its own place (channel, tap) from tile to tile by additions: no division in the loop.
// While a tile is multiplied the next one is on its way into registers; padding is masked when it is stored, so that
// nothing waits for a load before the products are done. Two barriers a tile.
// VEC = 4: the channels of a term are a multiple of 4, loads are vec4; VEC = 1: any number, scalar loads.
// DEEP = 1: at least BK channels, so that a place in the image is found anew only where the tap changes.
// OVEC = 1: the channels of the result are a multiple of 4: stores, and the gradient's loads of w, are vec4.
// STATS = 1 (forward, whole sums, one item, no epilogue): the group also writes, for each of its channels, the mean of what it
// stored and the sum of squared deviations from it (batch_norm.wgsl combines them), so the statistics cost no read of y. The
// sums of a channel's lines meet in the workgroup memory of the tiles, added in the order of the lines: no atomics.
//
// Memory: every float a group loads meets BM · BN / (BM + BN) multiply-adds: 64 for 128x128, 43 for 128x64, 32 for 64x64,
// 26 for 128x32, 13 for 64x16. A term costs an invocation (TM + TN) / 4 vec4 loads from workgroup memory for TM · TN
// multiply-adds: 16 a load for 8x8, 11 for 8x4, 8 for 4x4. Registers: TM · TN sums, TN + 4 operands times 4 at most,
// 8 to 20 for the next tile, 20 to 30 for places; compiled for RDNA 2 by Mesa 88 to 128, none of them spilled.

#define STATS 0

#define A_TERMS 1
#if GRAD
#define B_TERMS 0
#else
#define B_TERMS 1
#endif

#import shared/index
#import shared/relu
#import shared/tile

// Vec4s of terms in a line; lines of A, and lines of B, that the lanes fetch at a time; and how often.
#define KB BK / 4
#define A_STEP WIDTH / KB
#define A_LOADS BM / A_STEP
#if GRAD
#define B_STEP WIDTH / (BN / 4)
#define B_LOADS BK / B_STEP
#else
#define B_STEP A_STEP
#define B_LOADS BN / B_STEP
#endif

struct Params {
    h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32, ci_group: u32, co_group: u32,
    // The rows of the product, as n · high · wide; column tiles in all and of a group of channels; tiles of terms a split.
    pixels: u32, high: u32, wide: u32, tiles: u32, tiles_group: u32, chunk: u32, size: u32,
    accumulate: u32, gap: u32, reach: u32, batch: u32, source_size: u32,
}

#if VEC == 4
alias S = vec4<f32>;
#else
alias S = f32;
#endif
#if OVEC
alias Y = vec4<f32>;
#else
alias Y = f32;
#endif
#if GRAD
alias W = Y;
#else
alias W = S;
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> source: array<S>;
@group(0) @binding(2) var<storage, read> w: array<W>;
@group(0) @binding(3) var<storage, read_write> out: array<Y>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<Y>;
#endif
#if RESIDUAL
@group(0) @binding(5) var<storage, read> residual: array<Y>;
#endif
#if STATS
@group(0) @binding(6) var<storage, read_write> part: array<Y>;
#endif

#import shared/places

@compute @workgroup_size(${WIDTH})
fn tiled(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = folded_group(wid, groups);
    let block = (group % p.tiles) / p.tiles_group;
    let left = ((group % p.tiles) % p.tiles_group) * ${BN}u;
    let top = (group / p.tiles) * ${BM}u;
#if GRAD
    let classes = p.stride * p.stride;
    let layer = wid.z / classes;
    let ph = (wid.z % classes) / p.stride;
    let pw = wid.z % p.stride;
    let down = taps(ph, p.kh);
    let across = taps(pw, p.kw);
    let th = select(0u, down.count, across.count > 0u);
    let tw = max(across.count, 1u);
    let reach = -i32(p.reach);
    let sh = p.oh;
    let sw = p.ow;
    let all = p.co;
    let channels = p.co_group;
    let columns = p.ci_group;
#else
    let layer = wid.z;
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
    let item = layer % p.batch;
    let source0 = item * p.source_size + block * channels;
    let weight0 = item * p.co * p.kh * p.kw * p.ci_group;
    let first = (layer / p.batch) * p.chunk;
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
    let h${i} = i32(l${i} % p.high) + down.shift;
    let v${i} = i32(m${i} % p.wide) + across.shift;
#else
    let h${i} = i32((l${i} % p.high) * p.stride) - i32(p.padding);
    let v${i} = i32((m${i} % p.wide) * p.stride) - i32(p.padding);
#endif
#if VEC == 4
    var at${i} = 0u;
    var in${i} = false;
#endif
#endfor
    // Of B the same for the forward pass; else the vec4 of columns `nb` of the terms kb + i · B_STEP.
#if GRAD
    let nb = lane % ${BN / 4}u;
    let kb = lane / ${BN / 4}u;
#if OVEC
    let wn = min(left + 4u * nb, columns - 4u);
#else
    let wn = left + 4u * nb;
#endif
    let row = p.kh * p.kw * columns;
#else
#for i in 0..B_LOADS
    let c${i} = ra + ${i * B_STEP}u;
    let w${i} = weight0 + (block * columns + min(left + c${i}, columns - 1u)) * depth;
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
#if DEEP
    let by = vec3<u32>(${BK}u, 0u, 0u);
    var moved = true;
#else
    let by = vec3<u32>(${BK}u % channels, (${BK}u / channels) % tw, (${BK}u / channels) / tw);
#endif

    let tx = lane % ${ACROSS}u;
    let ty = lane / ${ACROSS}u;
#for r in 0..TM
#for j in 0..TN / 4
    var s${r}_${j} = vec4<f32>(0.0);
#endfor
#endfor

    // Once before the loop and then in it: fetches the next tile, adds the one before, stores. No branch lies between the
    // loads and their use, or drivers would wait for them at its end or move them behind the products; for that the tile
    // after the last one is fetched in vain.
#for stage in 0..2
#if stage == 0
    {
#else
    for (var t = first; t < last; t++) {
#endif
#if VEC == 4
#if DEEP
        if moved {
#else
        {
#endif
#for i in 0..A_LOADS
            let y${i} = u32(h${i} + i32(place.z) * reach);
            let x${i} = u32(v${i} + i32(place.y) * reach);
            in${i} = place.z < th && y${i} < sh && x${i} < sw;
            at${i} = select(0u, (((n${i} + y${i}) * sw + x${i}) * all + source0) / 4u, in${i});
#endfor
        }
#for i in 0..A_LOADS
        let f${i} = source[at${i} + place.x / 4u];
#endfor
#else
#for e in 0..4
#if e == 0
        let q0 = place;
#else
        let q${e} = onward(q${e - 1}, vec3<u32>(1u, 0u, 0u), channels, tw);
#endif
#for i in 0..A_LOADS
        let y${i}_${e} = u32(h${i} + i32(q${e}.z) * reach);
        let x${i}_${e} = u32(v${i} + i32(q${e}.y) * reach);
        let in${i}_${e} = q${e}.z < th && y${i}_${e} < sh && x${i}_${e} < sw;
        let at${i}_${e} = ((n${i} + y${i}_${e}) * sw + x${i}_${e}) * all + source0 + q${e}.x;
        let f${i}_${e} = source[select(0u, at${i}_${e}, in${i}_${e})];
#endfor
#endfor
#endif
#if GRAD
#for i in 0..B_LOADS
        let live${i} = place${i}.z < th;
        let tap${i} = (down.first + place${i}.z * p.gap) * p.kw + across.first + place${i}.y * p.gap;
        let base${i} = weight0 + select(0u, (block * channels + place${i}.x) * row + tap${i} * columns, live${i});
#if OVEC
        let g${i} = w[(base${i} + wn) / 4u];
#else
        let g${i} = vec4<f32>(
            w[base${i} + min(wn, columns - 1u)], w[base${i} + min(wn + 1u, columns - 1u)],
            w[base${i} + min(wn + 2u, columns - 1u)], w[base${i} + min(wn + 3u, columns - 1u)]);
#endif
        place${i} = onward(place${i}, by, channels, tw);
#endfor
#else
#for i in 0..B_LOADS
#if VEC == 4
        let live${i} = k < depth;
        let g${i} = w[select(0u, (w${i} + k) / 4u, live${i})];
#else
        let live${i} = vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(depth);
        let g${i} = vec4<f32>(
            w[w${i} + min(k, depth - 1u)], w[w${i} + min(k + 1u, depth - 1u)],
            w[w${i} + min(k + 2u, depth - 1u)], w[w${i} + min(k + 3u, depth - 1u)]);
#endif
#endfor
#endif
        k += ${BK}u;
        let next = onward(place, by, channels, tw);
#if DEEP
        moved = next.x <= place.x;
#endif
        place = next;
#if stage == 1
#import shared/tile_step
        workgroupBarrier();
#endif
#for i in 0..A_LOADS
#if VEC == 4
        tile[(ra + ${i * A_STEP}u) * ${PITCH_A}u + ka] = select(vec4<f32>(0.0), f${i}, in${i});
#else
        tile[(ra + ${i * A_STEP}u) * ${PITCH_A}u + ka] = select(
            vec4<f32>(0.0), vec4<f32>(f${i}_0, f${i}_1, f${i}_2, f${i}_3),
            vec4<bool>(in${i}_0, in${i}_1, in${i}_2, in${i}_3));
#endif
#endfor
#for i in 0..B_LOADS
#if GRAD
        tile[${B_START}u + (kb + ${i * B_STEP}u) * ${PITCH_B}u + nb] = select(vec4<f32>(0.0), g${i}, live${i});
#else
        tile[${B_START}u + ((c${i} % 4u) * ${BN / 4}u + c${i} / 4u) * ${PITCH_B}u + ka] =
            select(vec4<f32>(0.0), g${i}, live${i});
#endif
#endfor
        workgroupBarrier();
    }
#endfor

#for j in 0..TN / 4
    let col${j} = left + 4u * (tx + ${j * ACROSS}u);
#endfor
#if BIAS || RESIDUAL || RELU
    // What follows the sum, for all of them before the first is stored, so that the loads wait together.
#for j in 0..TN / 4
#if BIAS
#if OVEC
    let bias${j} = bias[(block * columns + min(col${j}, columns - 4u)) / 4u];
#else
    let bias${j} = vec4<f32>(
        bias[block * columns + min(col${j}, columns - 1u)], bias[block * columns + min(col${j} + 1u, columns - 1u)],
        bias[block * columns + min(col${j} + 2u, columns - 1u)], bias[block * columns + min(col${j} + 3u, columns - 1u)]);
#endif
#endif
#for r in 0..TM
#if BIAS
    s${r}_${j} += bias${j};
#endif
#if RESIDUAL
    let rest${r}_${j} = min(top + ty + ${r * LINES}u, p.pixels - 1u) * p.co + block * columns;
#if OVEC
    s${r}_${j} += residual[(rest${r}_${j} + min(col${j}, columns - 4u)) / 4u];
#else
    s${r}_${j} += vec4<f32>(
        residual[rest${r}_${j} + min(col${j}, columns - 1u)], residual[rest${r}_${j} + min(col${j} + 1u, columns - 1u)],
        residual[rest${r}_${j} + min(col${j} + 2u, columns - 1u)],
        residual[rest${r}_${j} + min(col${j} + 3u, columns - 1u)]);
#endif
#endif
#if RELU
    s${r}_${j} = relu4(s${r}_${j});
#endif
#endfor
#endfor
#endif
#for r in 0..TM
    let o${r} = top + ty + ${r * LINES}u;
#if GRAD
    let ol${r} = o${r} / p.wide;
    let oh${r} = (ol${r} % p.high) * p.stride + ph;
    let ow${r} = (o${r} % p.wide) * p.stride + pw;
    if o${r} < p.pixels && oh${r} < p.h && ow${r} < p.w {
        let to = layer * p.size + (((ol${r} / p.high) * p.h + oh${r}) * p.w + ow${r}) * p.ci + block * columns;
#else
    if o${r} < p.pixels {
        let to = layer * p.size + o${r} * p.co + block * columns;
#endif
#for j in 0..TN / 4
#if OVEC
        if col${j} < columns {
#if GRAD
            if p.accumulate != 0u {
                s${r}_${j} += out[(to + col${j}) / 4u];
            }
#endif
            out[(to + col${j}) / 4u] = s${r}_${j};
        }
#else
#for q in 0..4
        if col${j} + ${q}u < columns {
#if GRAD
            if p.accumulate != 0u {
                s${r}_${j}[${q}] += out[to + col${j} + ${q}u];
            }
#endif
            out[to + col${j} + ${q}u] = s${r}_${j}[${q}];
        }
#endfor
#endif
#endfor
    }
#endfor
#if STATS
    // The tiles' memory is free: behind the last barrier nothing is read from it. Two rounds, first the sums of the lines'
    // values, then those of their squared deviations from the mean; every line adds up all, so the mean needs no third.
    let count = f32(min(${BM}u, p.pixels - min(top, p.pixels)));
#for j in 0..TN / 4
    var sum${j} = vec4<f32>(0.0);
#for r in 0..TM
    sum${j} += select(vec4<f32>(0.0), s${r}_${j}, o${r} < p.pixels);
#endfor
    tile[ty * ${BN / 4}u + tx + ${j * ACROSS}u] = sum${j};
#endfor
    workgroupBarrier();
#for j in 0..TN / 4
    var mean${j} = vec4<f32>(0.0);
#for l in 0..LINES
    mean${j} += tile[${l * (BN / 4) + j * ACROSS}u + tx];
#endfor
    mean${j} /= max(count, 1.0);
    var squares${j} = vec4<f32>(0.0);
#for r in 0..TM
    let d${r}_${j} = select(vec4<f32>(0.0), s${r}_${j} - mean${j}, o${r} < p.pixels);
    squares${j} = fma(d${r}_${j}, d${r}_${j}, squares${j});
#endfor
#endfor
    workgroupBarrier();
#for j in 0..TN / 4
    tile[ty * ${BN / 4}u + tx + ${j * ACROSS}u] = squares${j};
#endfor
    workgroupBarrier();
    // Groups beyond the last row, where the grid folds, have nothing to write.
    if ty == 0u && top < p.pixels {
        let to = (top / ${BM}u) * 2u * p.co + block * columns;
#for j in 0..TN / 4
#for l in 1..LINES
        squares${j} += tile[${l * (BN / 4) + j * ACROSS}u + tx];
#endfor
#if OVEC
        if col${j} < columns {
            part[(to + col${j}) / 4u] = mean${j};
            part[(to + p.co + col${j}) / 4u] = squares${j};
        }
#else
#for q in 0..4
        if col${j} + ${q}u < columns {
            part[to + col${j} + ${q}u] = mean${j}[${q}];
            part[to + p.co + col${j} + ${q}u] = squares${j}[${q}];
        }
#endfor
#endif
#endfor
    }
#endif
}
