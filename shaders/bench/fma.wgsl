// The peak of fused multiply-add: CHAINS independent chains a ← a·b + d in registers, each a vector of LANES.
//
//   out[i] = Σ over chains and lanes of a,   a after p.rounds · UNROLL steps from a₀ = i mod 64 / 128 + chain + lane / 4
//
// One invocation: all chains of one i. Memory: 4 bytes written an invocation, nothing read, so only arithmetic counts:
// 2 · LANES · CHAINS · UNROLL · p.rounds operations. The lanes start differently, so that no compiler can merge them.
// HALF = 1: in f16.

#define LANES 4
#define CHAINS 4
#define UNROLL 16
#define HALF 0

#if HALF
enable f16;
#endif

#import shared/index

#if HALF
alias S = f16;
#else
alias S = f32;
#endif
#if LANES == 1
alias V = S;
#else
alias V = vec${LANES}<S>;
#endif

struct Params { length: u32, rounds: u32, b: f32, d: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn fma_peak(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.length {
        return;
    }
    let b = V(S(p.b));
    let d = V(S(p.d));
#if LANES == 1
    let start = V(S(f32(i % 64u) / 128.0));
#elif LANES == 2
    let start = V(S(f32(i % 64u) / 128.0)) + V(S(0.0), S(0.25));
#else
    let start = V(S(f32(i % 64u) / 128.0)) + V(S(0.0), S(0.25), S(0.5), S(0.75));
#endif
#for c in 0..CHAINS
    var a${c} = start + V(S(${c}.0));
#endfor
    for (var round = 0u; round < p.rounds; round++) {
#for u in 0..UNROLL
#for c in 0..CHAINS
        a${c} = fma(a${c}, b, d);
#endfor
#endfor
    }
    var sum = V(S(0.0));
#for c in 0..CHAINS
    sum += a${c};
#endfor
#if LANES == 1
    out[i] = f32(sum);
#elif LANES == 2
    out[i] = f32(sum.x) + f32(sum.y);
#else
    out[i] = (f32(sum.x) + f32(sum.y)) + (f32(sum.z) + f32(sum.w));
#endif
}
