// A convolution's weight as its input gradient needs it at stride 1, where that gradient is itself a convolution.
//
//   turned[ic, kh, kw, oc] = w[oc, KH − 1 − kh, KW − 1 − kw, ic]
//
// One invocation: one value. Memory: one load and one store of a float each.

#import shared/index

struct Params { co: u32, taps: u32, ci: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> turned: array<f32>;

@compute @workgroup_size(64)
fn turn(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = folded_index(wid, groups, lane, 64u);
    if i >= p.co * p.taps * p.ci {
        return;
    }
    let oc = i % p.co;
    let tap = i / p.co % p.taps;
    let ic = i / (p.co * p.taps);
    turned[i] = w[(oc * p.taps + p.taps - 1u - tap) * p.ci + ic];
}
