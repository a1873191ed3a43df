// The second pass of a sum that was split: adds the parts in a fixed order, then what follows a convolution.
//
//   out[i] (+)= relu( Σ_z parts[z, i] + bias[i mod channels] + residual[i] )
//
// STRANDS = 1: one invocation, one value (OVEC = 1: one vec4). STRANDS = 8, for long sums of few values: a workgroup owns
// 32 of them; strand s adds every eighth part from s, and the eight sums are added in order through workgroup memory.
// Memory: reads every part once, neighbouring lanes neighbouring values.

#import shared/index
#import shared/relu

#if STRANDS > 1
#define VALUES 32
#else
#define VALUES 64
#endif

struct Params { size: u32, parts: u32, channels: u32, accumulate: u32 }

#if OVEC
alias Y = vec4<f32>;
fn relu_of(v: Y) -> Y { return relu4(v); }
#else
alias Y = f32;
fn relu_of(v: Y) -> Y { return relu1(v); }
#endif

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<Y>;
@group(0) @binding(2) var<storage, read_write> out: array<Y>;
#if BIAS
@group(0) @binding(3) var<storage, read> bias: array<Y>;
#endif
#if RESIDUAL
@group(0) @binding(4) var<storage, read> residual: array<Y>;
#endif
#if STRANDS > 1
var<workgroup> sums: array<Y, ${VALUES * STRANDS}>;
#endif

@compute @workgroup_size(${VALUES * STRANDS})
fn tiled_sum(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane % ${VALUES}u, ${VALUES}u);
    let strand = lane / ${VALUES}u;
    var v = Y(0.0);
    // Lanes beyond the last value add nothing, and meet the barrier.
    let parts_here = select(0u, p.parts, i < p.size);
    for (var z = strand; z < parts_here; z += ${STRANDS}u) {
        v += parts[z * p.size + i];
    }
#if STRANDS > 1
    sums[lane] = v;
    workgroupBarrier();
#for s in 1..STRANDS
    v += sums[lane % ${VALUES}u + ${s * VALUES}u];
#endfor
#endif
    if i < p.size && strand == 0u {
#if BIAS
        v += bias[i % p.channels];
#endif
#if RESIDUAL
        v += residual[i];
#endif
#if RELU
        v = relu_of(v);
#endif
        if p.accumulate != 0u {
            v += out[i];
        }
        out[i] = v;
    }
}
