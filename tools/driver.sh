#!/bin/sh
# Runs a command on a Vulkan driver out of Debian's packages, which the system neither has nor gets:
#
#   tools/driver.sh NAME [COMMAND…]       without a command: fetches the driver, and says which versions it consists of
#   tools/driver.sh swiftshader sh -c '$LIMBECK_RUNNER target/release/limbeck devices'
#
# swiftshader is the software adapter out of Chromium, mesa Mesa's lavapipe, both as Debian's newest suite brings them (another:
# LIMBECK_DRIVER_SUITE). radeon, intel, intel_hasvk, nouveau, freedreno are Mesa's drivers of GPUs, for what they do without one.
# Packages come from the mirror that apt is set up with (another: LIMBECK_DEBIAN_MIRROR); apt checks Debian's signature and the hashes
# it covers. All lies in target/drivers/, removing a folder there fetches that driver anew, and root is not needed.
#
# A driver of today needs a C library of today, which a process cannot mix with the system's. So the folder holds a C library and the
# Vulkan loader too, and programs are started by its `run`: cargo knows it as its runner, and our tests as LIMBECK_RUNNER.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

name=${1:-}
[ $# -gt 0 ] && shift
# closure: packages that come with all they depend on. alone: those that come by themselves, as Chromium's would be half a desktop.
closure="libvulkan1 libgcc-s1" alone= newest=sid
case $name in
swiftshader) folder=swiftshader driver=libvk_swiftshader.so alone=chromium-common ;;
mesa) folder=mesa driver=libvulkan_lvp.so closure="$closure mesa-vulkan-drivers" ;;
intel | intel_hasvk | nouveau | freedreno)
    folder=mesa driver=libvulkan_$name.so closure="$closure mesa-vulkan-drivers" ;;
radeon) folder=mesa driver=libvulkan_radeon.so closure="$closure mesa-vulkan-drivers" newest=trixie ;;
*) fail "unknown driver \`$name\`; there are swiftshader, mesa, radeon, intel, intel_hasvk, nouveau and freedreno" ;;
esac
suite=${LIMBECK_DRIVER_SUITE:-$newest}
[ "$suite" = sid ] || folder=$folder-$suite
home=$root/target/drivers/$folder

mirror() {
    if [ -n "${LIMBECK_DEBIAN_MIRROR:-}" ]; then printf '%s\n' "$LIMBECK_DEBIAN_MIRROR"; return; fi
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1
}

fetch() {
    [ "$(uname -s)" = Linux ] || fail "drivers are fetched on Linux only, and this is $(uname -s)"
    for tool in apt-get dpkg-deb; do
        command -v $tool >/dev/null 2>&1 ||
            fail "$tool is missing: drivers come out of Debian's packages, so this needs Debian, or a system derived from it"
    done
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e $keys ] || fail "$keys is missing, with which Debian signs its packages; install debian-archive-keyring"
    from=$(mirror)
    [ -n "$from" ] || fail "apt knows no mirror of Debian; set LIMBECK_DEBIAN_MIRROR to the address of one, which ends in /debian"

    say "fetching $name from Debian's $suite, into target/drivers/$folder"
    half=$home.half
    trap 'rm -rf "$half"' EXIT
    rm -rf "$half"
    mkdir -p "$half/apt/lists/partial" "$half/apt/archives/partial" "$half/root"
    # Nothing counts as installed: then apt brings all that the packages need, down to the C library.
    : >"$half/apt/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keys" "$from" "$suite" >"$half/apt/sources.list"
    cat >"$half/apt/conf" <<CONF
Dir::Etc::SourceList "$half/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "$half/apt";
Dir::State::Lists "$half/apt/lists";
Dir::State::status "$half/apt/status";
Dir::Cache "$half/apt";
Dir::Cache::Archives "$half/apt/archives";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "";
CONF
    APT_CONFIG=$half/apt/conf
    export APT_CONFIG
    apt-get update -qq >&2 || fail "the index of $suite could not be fetched from $from"
    apt-get install -y -qq --no-install-recommends --download-only $closure >&2 || fail "packages could not be fetched: $closure"
    if [ -n "$alone" ]; then
        (cd "$half/apt/archives" && apt-get download -qq $alone >&2) || fail "packages could not be fetched: $alone"
    fi
    unset APT_CONFIG
    for package in "$half"/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$half/root"
        dpkg-deb -W --showformat '${Package} ${Version}\n' "$package"
    done >"$half/versions"
    [ -n "$(find "$half/root" -name "$driver")" ] || fail "$driver is not in the packages of $suite: $closure $alone"
    rm -rf "$half/apt"
    rm -rf "$home"
    mv "$half" "$home"
}

[ -e "$home/versions" ] || fetch

library=$(find "$home/root" -name "$driver" | head -n 1)
[ -n "$library" ] || fail "target/drivers/$folder has no $driver; remove that folder, and it is fetched anew"
start=$(find "$home/root" -name 'ld-linux*.so.*' | head -n 1)
paths=$(find "$home/root" -name 'lib*.so*' -exec dirname {} \; | sort -u | grep -v gconv | tr '\n' ':')
mkdir -p "$home/icd"
printf '{ "file_format_version": "1.0.1", "ICD": { "library_path": "%s", "api_version": "1.3.0" } }\n' "$library" >"$home/icd/$name.json"
cat >"$home/run" <<RUN
#!/bin/sh
exec "$start" --argv0 "\$1" --library-path "${paths%:}" "\$@"
RUN
chmod +x "$home/run"

versions=$(grep -E '^(mesa-vulkan-drivers|chromium-common|libllvm[0-9]*|libvulkan1|libc6) ' "$home/versions" | tr '\n' ',')
say "driver: $name, with $(printf '%s' "${versions%,}" | sed 's/,/, /g')"
[ $# -gt 0 ] || exit 0

VK_DRIVER_FILES=$home/icd/$name.json VK_ICD_FILENAMES=$home/icd/$name.json VK_LOADER_LAYERS_DISABLE='~implicit~' LIMBECK_RUNNER=$home/run
export VK_DRIVER_FILES VK_ICD_FILENAMES VK_LOADER_LAYERS_DISABLE LIMBECK_RUNNER
export "CARGO_TARGET_$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER=$home/run"
exec "$@"
