// How much the samples of a mean count together: 0 for those that are marked missing, 1 or their weight for the others.
//
// The including shader says in `share(i)` how much each does. FUSED = 1: every workgroup counts all `p.samples` itself,
// 64 at a time, which costs less than a dispatch while there are few; FUSED = 0: `count_present`, one workgroup
// dispatched before, has written the number to `present_count[0]`. Counts are exact up to 2^24.

#import shared/rows
#define FUSED 1

fn counted(lane: u32) -> f32 {
    var mine = 0.0;
    for (var i = lane; i < p.samples; i += 64u) {
        mine += share(i);
    }
    return group_sum2(vec2<f32>(mine, 0.0), lane).x;
}

#if FUSED
fn count_of_present(lane: u32) -> f32 {
    return counted(lane);
}
#else
@group(0) @binding(6) var<storage, read> present_count: array<f32>;
@group(0) @binding(7) var<storage, read_write> count_out: array<f32>;

fn count_of_present(lane: u32) -> f32 {
    return present_count[0];
}

@compute @workgroup_size(64)
fn count_present(@builtin(local_invocation_index) lane: u32) {
    let count = counted(lane);
    if lane == 0u {
        count_out[0] = count;
    }
}
#endif
