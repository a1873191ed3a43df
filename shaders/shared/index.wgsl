// The running number of an invocation when a long row of workgroups is folded into two dimensions
// (no dimension may have more than 65,535 groups). Groups beyond the last are cut off by the caller's bound check.

fn folded_group(wid: vec3<u32>, groups: vec3<u32>) -> u32 {
    return wid.y * groups.x + wid.x;
}

fn folded_index(wid: vec3<u32>, groups: vec3<u32>, local: u32, width: u32) -> u32 {
    return folded_group(wid, groups) * width + local;
}
