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
// inside, and each loading lane carries its own place (channel, tap) from tile to tile by additions: no division in the
// loop. While a tile is multiplied the next one is on its way into registers; padding is masked when it is stored, so
// that nothing waits for a load before the products are done. Two barriers a tile.
// VEC = 4: the channels of a term are a multiple of 4, loads are vec4; VEC = 1: any number, scalar loads.
// DEEP = 1: at least BK channels, so that a place in the image is found anew only where the tap changes.
// OVEC = 1: the channels of the result are a multiple of 4: stores, and the gradient's loads of w, are vec4.
//
// Memory: for each tile of BK terms a group loads (BM + BN) · BK floats once and makes BM · BN · BK multiply-adds of them:
// 128x128 32, 128x64 21, 64x64 16, 128x32 13, 64x16 6 for each float; from workgroup memory (TM + TN) / 4 vec4 for
// TM · TN. Registers: TM · TN sums, TM + TN operands, 16 for the next tile, about 30 for places.

#import shared/index
#import shared/tile

struct Params {
    h: u32, w: u32, ci: u32, oh: u32, ow: u32, co: u32, kh: u32, kw: u32,
    stride: u32, padding: u32, dilation: u32, ci_group: u32, co_group: u32,
    // The rows of the product, as n · high · wide; column tiles in all and of a group of channels; tiles of terms a split.
    pixels: u32, high: u32, wide: u32, tiles: u32, tiles_group: u32, chunk: u32, size: u32,
    accumulate: u32, gap: u32, reach: u32, batch: u32, source_size: u32,
}

#if VEC == 4
alias S = vec4<f32>;
alias Mask = bool;
#else
alias S = f32;
alias Mask = vec4<bool>;
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

#if GRAD
// The taps along one axis that whole quotients allow: the first, their number, and the place in dy the first leads to.
struct Taps { first: u32, count: u32, shift: i32 }

fn taps(remainder: u32, size: u32) -> Taps {
    for (var k = 0u; k < min(p.gap, size); k++) {
        // Adding a multiple of s keeps the remainder and avoids negative numbers.
        let t = remainder + p.padding + (size * p.stride - k) * p.dilation;
        if t % p.stride == 0u {
            return Taps(k, (size - k + p.gap - 1u) / p.gap, i32(t / p.stride) - i32(size * p.dilation));
        }
    }
    return Taps(0u, 0u, 0);
}
#endif

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

    // What this lane fetches: block (kb, rb) of A or of B, and where it puts it.
    let of_a = lane < ${A_BLOCKS}u;
    let of_b = lane >= ${A_BLOCKS}u && lane < ${A_BLOCKS + B_BLOCKS}u;
    let id = select(lane - ${A_BLOCKS}u, lane, of_a);
#if GRAD
    let kb = select(id / ${BN / 4}u, id % ${BK / 4}u, of_a);
    let rb = select(id % ${BN / 4}u, id / ${BK / 4}u, of_a);
#else
    let kb = id % ${BK / 4}u;
    let rb = id / ${BK / 4}u;
#endif
    let pitch = select(${PITCH_B}u, ${PITCH_A}u, of_a);
    let slot = select(${B_START}u, 0u, of_a) + 4u * kb * pitch + rb;
    // Rows beyond the last repeat it: their sums are not stored.
#for i in 0..4
    let m${i} = min(top + 4u * rb + ${i}u, p.pixels - 1u);
    let l${i} = m${i} / p.wide;
    let n${i} = (l${i} / p.high) * sh;
#if GRAD
    let h${i} = i32(l${i} % p.high) + down.shift;
    let v${i} = i32(m${i} % p.wide) + across.shift;
#else
    let h${i} = i32((l${i} % p.high) * p.stride) - i32(p.padding);
    let v${i} = i32((m${i} % p.wide) * p.stride) - i32(p.padding);
    let w${i} = weight0 + (block * columns + min(left + 4u * rb + ${i}u, columns - 1u)) * depth;
#endif
    var f${i} = vec4<f32>(0.0);
    var in${i} = Mask(false);
#if VEC == 4
    var at${i} = 0u;
#endif
#endfor
#if GRAD
#if OVEC
    let wn = min(left + 4u * rb, columns - 4u);
#else
    let wn = left + 4u * rb;
#endif
    let row = p.kh * p.kw * columns;
#endif

    // The place of the block's first term.
    var k = first * ${BK}u + 4u * kb;
    var c = k % channels;
    var tj = (k / channels) % tw;
    var ti = (k / channels) / tw;
#if DEEP
    var moved = true;
#else
    let dc = ${BK}u % channels;
    let dj = (${BK}u / channels) % tw;
    let di = (${BK}u / channels) / tw;
#endif

    let tx = lane % ${ACROSS}u;
    let ty = lane / ${ACROSS}u;
#for r in 0..TM
#for j in 0..TN / 4
    var s${r}_${j} = vec4<f32>(0.0);
#endfor
#endfor

    for (var t = first; t <= last; t++) {
        if t < last {
            let live = ti < th;
#if VEC == 4
            if of_a {
#if DEEP
                if moved {
#endif
#for i in 0..4
                    let y${i} = u32(h${i} + i32(ti) * reach);
                    let x${i} = u32(v${i} + i32(tj) * reach);
                    in${i} = live && y${i} < sh && x${i} < sw;
                    at${i} = select(0u, (((n${i} + y${i}) * sw + x${i}) * all + source0) / 4u, in${i});
#endfor
#if DEEP
                }
#endif
#for i in 0..4
                f${i} = source[at${i} + c / 4u];
#endfor
            } else if of_b {
#if GRAD
                let tap = (down.first + ti * p.gap) * p.kw + across.first + tj * p.gap;
                let base = select(0u, weight0 + (block * channels + c) * row + tap * columns, live);
#for e in 0..4
#if OVEC
                f${e} = w[(base + ${e}u * row + wn) / 4u];
#else
#for q in 0..4
                f${e}[${q}] = w[base + ${e}u * row + min(wn + ${q}u, columns - 1u)];
#endfor
#endif
                in${e} = live;
#endfor
#else
#for i in 0..4
                f${i} = w[select(0u, (w${i} + k) / 4u, live)];
                in${i} = live;
#endfor
#endif
            }
#else
            var cc = c;
            var jj = tj;
            var ii = ti;
#for e in 0..4
            let live${e} = ii < th;
            if of_a {
#for i in 0..4
                let y${e}_${i} = u32(h${i} + i32(ii) * reach);
                let x${e}_${i} = u32(v${i} + i32(jj) * reach);
                in${i}[${e}] = live${e} && y${e}_${i} < sh && x${e}_${i} < sw;
                let at${e}_${i} = ((n${i} + y${e}_${i}) * sw + x${e}_${i}) * all + source0 + cc;
                f${i}[${e}] = source[select(0u, at${e}_${i}, in${i}[${e}])];
#endfor
            } else if of_b {
#if GRAD
                let tap${e} = (down.first + ii * p.gap) * p.kw + across.first + jj * p.gap;
                let base${e} = select(0u, weight0 + (block * channels + cc) * row + tap${e} * columns, live${e});
#if OVEC
                f${e} = w[(base${e} + wn) / 4u];
#else
#for q in 0..4
                f${e}[${q}] = w[base${e} + min(wn + ${q}u, columns - 1u)];
#endfor
#endif
                in${e} = Mask(live${e});
#else
#for i in 0..4
                f${i}[${e}] = w[select(0u, w${i} + k + ${e}u, live${e})];
                in${i}[${e}] = live${e};
#endfor
#endif
            }
            cc += 1u;
            if cc == channels {
                cc = 0u;
                jj += 1u;
                if jj == tw {
                    jj = 0u;
                    ii += 1u;
                }
            }
#endfor
#endif
            k += ${BK}u;
#if DEEP
            c += ${BK}u;
            moved = c >= channels;
            if moved {
                c -= channels;
                tj += 1u;
                if tj == tw {
                    tj = 0u;
                    ti += 1u;
                }
            }
#else
            c += dc;
            tj += dj;
            ti += di;
            if c >= channels {
                c -= channels;
                tj += 1u;
            }
            if tj >= tw {
                tj -= tw;
                ti += 1u;
            }
#endif
        }
        if t > first {
#import shared/tile_step
        }
        workgroupBarrier();
        if t < last && (of_a || of_b) {
#for i in 0..4
            let g${i} = select(vec4<f32>(0.0), f${i}, in${i});
#endfor
#if GRAD
            if of_b {
#for e in 0..4
                tile[slot + ${e}u * pitch] = g${e};
#endfor
            } else {
#else
            {
#endif
#for e in 0..4
                tile[slot + ${e}u * pitch] = vec4<f32>(g0[${e}], g1[${e}], g2[${e}], g3[${e}]);
#endfor
            }
        }
        workgroupBarrier();
    }

#for r in 0..TM
    let o${r} = top + 4u * (ty + ${(r / 4) * LINES}u) + ${r % 4}u;
#if GRAD
    let ol${r} = o${r} / p.wide;
    let oh${r} = (ol${r} % p.high) * p.stride + ph;
    let ow${r} = (o${r} % p.wide) * p.stride + pw;
    if o${r} < p.pixels && oh${r} < p.h && ow${r} < p.w {
        let line = (((ol${r} / p.high) * p.h + oh${r}) * p.w + ow${r}) * p.ci + block * columns;
#else
    if o${r} < p.pixels {
        let line = o${r} * p.co + block * columns;
#endif
#for j in 0..TN / 4
        let col${j} = left + 4u * (tx + ${j * ACROSS}u);
#if OVEC
        if col${j} < columns {
            let to = (layer * p.size + line + col${j}) / 4u;
            var v = s${r}_${j};
#if BIAS
            v += bias[(block * columns + col${j}) / 4u];
#endif
#if RESIDUAL
            v += residual[(line + col${j}) / 4u];
#endif
#if RELU
            v = max(v, vec4<f32>(0.0));
#endif
            if p.accumulate != 0u {
                v += out[to];
            }
            out[to] = v;
        }
#else
#for q in 0..4
        if col${j} + ${q}u < columns {
            let to = layer * p.size + line + col${j} + ${q}u;
            var v = s${r}_${j}[${q}];
#if BIAS
            v += bias[block * columns + col${j} + ${q}u];
#endif
#if RESIDUAL
            v += residual[line + col${j} + ${q}u];
#endif
#if RELU
            v = max(v, 0.0);
#endif
            if p.accumulate != 0u {
                v += out[to];
            }
            out[to] = v;
        }
#endfor
#endif
#endfor
    }
#endfor
}
