// The surest pairs of a place and a class that a detector names, image by image, before boxes of one object are suppressed.
//
//   topk_keys    keys[n, pair] = 1 + the bits of σ(logit) σ(centre-ness), which order as the scores do; 0 where that is below `least` or
//                no number. Pair = place · classes + class. One invocation: one pair
//   topk_select  the `most` largest keys, of equal ones those that come first, in the order of the pairs; one workgroup: one image
//
// z [images, places, classes + 5]; found [images, most, 7] of words: the pair (all ones behind the last), and as they are in z its logit,
// its place's centre-ness and distances. The smallest key that is still taken is found digit by digit, ten bits at a time from above,
// by counting keys; then each invocation writes what is taken of a stretch of pairs behind what those before it take, so that neither
// the order of invocations nor equal scores matter. Memory: reads keys five times; 6 KiB of workgroup memory.

#import shared/index

struct Params { images: u32, places: u32, classes: u32, most: u32, least: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> keys_out: array<u32>;

// Tested by its bits: arithmetic on what is no number may be left out.
fn is_number(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) <= 0x7f800000u;
}

// Logits beyond ±80 say nothing more in single precision.
fn sigmoid(v: f32) -> f32 {
    return 1.0 / (1.0 + exp(-clamp(v, -80.0, 80.0)));
}

@compute @workgroup_size(64)
fn topk_keys(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = folded_index(wid, groups, lane, 64u);
    if id >= p.images * p.places * p.classes {
        return;
    }
    let at = id / p.classes * (p.classes + 5u);
    let logit = z[at + id % p.classes];
    let centre = z[at + p.classes + 4u];
    let score = min(sigmoid(logit) * sigmoid(centre), 1.0);
    let named = is_number(logit) && is_number(centre) && score >= p.least;
    keys_out[id] = select(0u, bitcast<u32>(score) + 1u, named);
}

@group(0) @binding(1) var<storage, read> said: array<u32>;
@group(0) @binding(2) var<storage, read> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> found: array<u32>;

const WIDTH = 256u;

var<workgroup> bins: array<atomic<u32>, 1024>;
var<workgroup> tallies: array<vec2<u32>, 256>;
// The digit that has been found and what is left to be taken of its keys; at last, how many are taken.
var<workgroup> chosen: vec2<u32>;

@compute @workgroup_size(256)
fn topk_select(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = folded_group(wid, groups);
    let live = group < p.images;
    let image = min(group, p.images - 1u);
    let pairs = p.places * p.classes;
    let start = image * pairs;
    var edge = 0u;
    var wanted = p.most;
    for (var digit = 0u; digit < 3u; digit++) {
        let shift = 20u - 10u * digit;
        for (var b = lane; b < 1024u; b += WIDTH) {
            atomicStore(&bins[b], 0u);
        }
        workgroupBarrier();
        for (var i = lane; i < pairs; i += WIDTH) {
            let key = keys[start + i];
            // Scores are at most 1, so that keys have 30 bits.
            if key != 0u && (key >> (shift + 10u)) == edge {
                atomicAdd(&bins[(key >> shift) & 1023u], 1u);
            }
        }
        workgroupBarrier();
        let own = 4u * lane;
        tallies[lane].x = atomicLoad(&bins[own]) + atomicLoad(&bins[own + 1u]) + atomicLoad(&bins[own + 2u]) + atomicLoad(&bins[own + 3u]);
        workgroupBarrier();
        if lane == 0u {
            var left = wanted;
            var four = WIDTH - 1u;
            while four > 0u && tallies[four].x < left {
                left -= tallies[four].x;
                four--;
            }
            var bin = 4u * four + 3u;
            while bin > 4u * four && atomicLoad(&bins[bin]) < left {
                left -= atomicLoad(&bins[bin]);
                bin--;
            }
            chosen = vec2<u32>(bin, left);
        }
        workgroupBarrier();
        edge = edge * 1024u + chosen.x;
        wanted = chosen.y;
    }
    // All keys above the edge, and the first `wanted` of those on it. Where fewer than `most` are named the edge is 0, which is no key.
    let stretch = (pairs + WIDTH - 1u) / WIDTH;
    let first = min(lane * stretch, pairs);
    let end = min(first + stretch, pairs);
    var mine = vec2<u32>(0u);
    for (var i = first; i < end; i++) {
        let key = keys[start + i];
        mine += vec2<u32>(select(0u, 1u, key > edge), select(0u, 1u, key == edge && key != 0u));
    }
    tallies[lane] = mine;
    workgroupBarrier();
    if lane == 0u {
        var sum = vec2<u32>(0u);
        for (var l = 0u; l < WIDTH; l++) {
            let those = tallies[l];
            tallies[l] = sum;
            sum += those;
        }
        chosen.x = sum.x + min(sum.y, wanted);
    }
    workgroupBarrier();
    let columns = p.classes + 5u;
    var before = tallies[lane];
    for (var i = first; i < end; i++) {
        let key = keys[start + i];
        let on_edge = key == edge && key != 0u;
        if live && (key > edge || (on_edge && before.y < wanted)) {
            let to = 7u * (image * p.most + before.x + min(before.y, wanted));
            let at = (image * p.places + i / p.classes) * columns;
            found[to] = i;
            found[to + 1u] = said[at + i % p.classes];
            found[to + 2u] = said[at + p.classes + 4u];
            found[to + 3u] = said[at + p.classes];
            found[to + 4u] = said[at + p.classes + 1u];
            found[to + 5u] = said[at + p.classes + 2u];
            found[to + 6u] = said[at + p.classes + 3u];
        }
        before += vec2<u32>(select(0u, 1u, key > edge), select(0u, 1u, on_edge));
    }
    for (var slot = chosen.x + lane; live && slot < p.most; slot += WIDTH) {
        let to = 7u * (image * p.most + slot);
        found[to] = 0xffffffffu;
        for (var k = 1u; k < 7u; k++) {
            found[to + k] = 0u;
        }
    }
}
