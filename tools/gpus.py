"""Compiles SPIR-V for GPUs that are not there, by a driver that needs none, and tells what each pipeline takes.

    ./x gpus [CHIP...]            which runs: tools/driver.sh radeon python3 tools/gpus.py FOLDER CHIP...

FOLDER is what the example `shaders` wrote. Mesa's driver of AMD's GPUs compiles for the chip that RADV_FORCE_FAMILY names (until Mesa 25)
and hands out its own statistics by VK_KHR_pipeline_executable_properties; nothing runs. The table counts pipelines;
target/gpus/CHIP.csv has a row for each. A pipeline that ends the driver is counted and left out. Needs no package of Python's.
"""

import csv
import ctypes as c
import os
import statistics
import subprocess
import sys

# A chip of each generation: GCN 1, 3, 4 and 5, CDNA 1, RDNA 1, 2, 3 and 4.
CHIPS = ["tahiti", "tonga", "polaris10", "vega10", "mi100", "navi10", "navi21", "navi31", "gfx1201"]
CAPTURE_STATISTICS = 0x40
UNIFORM_DYNAMIC, STORAGE = 8, 7
COMPUTE = 0x20


class Vulkan:
    """The few calls that are needed. Structures are packed by hand: a type's number, padding, the next one's address, members."""

    def __init__(self):
        self.lib = c.CDLL("libvulkan.so.1")
        self.kept = []
        application = self.struct(0, ("Q", 0), ("I", 0), ("Q", 0), ("I", 0), ("I", 1 << 22 | 3 << 12))
        self.instance = c.c_void_p()
        self.call("vkCreateInstance", self.struct(1, ("I", 0), ("Q", application), ("I", 0), ("Q", 0), ("I", 0), ("Q", 0)), 0, c.byref(self.instance))
        count, physical = c.c_uint32(1), c.c_void_p()
        self.call("vkEnumeratePhysicalDevices", self.instance, c.byref(count), c.byref(physical))
        self.physical = physical
        # All features of these structures that the driver has, filled in by it: core, 1.1, 1.2, 1.3, statistics, matrices.
        chain = 0
        extensions = self.extensions()
        wanted = [(1000269000, 8, b"VK_KHR_pipeline_executable_properties"), (1000506000, 8, b"VK_KHR_cooperative_matrix")]
        present = [(kind, size, name) for kind, size, name in wanted if name in extensions]
        for kind, size in [(49, 48), (51, 192), (53, 64)] + [(kind, size) for kind, size, _ in present]:
            chain = self.blank(kind, size, chain)
        features = self.blank(1000059000, 224, chain)
        self.lib.vkGetPhysicalDeviceFeatures2(physical, c.c_void_p(features))
        names = (c.c_char_p * len(present))(*[name for _, _, name in present])
        priority = c.c_float(1.0)
        self.kept += [names, priority]
        queue = self.struct(2, ("I", 0), ("I", 0), ("I", 1), ("Q", c.addressof(priority)))
        device = self.struct(3, ("I", 0), ("I", 1), ("Q", queue), ("I", 0), ("Q", 0), ("I", len(present)), ("Q", c.addressof(names)), ("Q", 0), next=features)
        self.device = c.c_void_p()
        self.call("vkCreateDevice", physical, device, 0, c.byref(self.device))
        self.lib.vkGetDeviceProcAddr.restype = c.c_void_p

    def struct(self, kind, *members, next=0):
        data = bytearray(kind.to_bytes(8, "little") + next.to_bytes(8, "little"))
        for form, value in members:
            size = {"I": 4, "Q": 8}[form]
            data += bytes(-len(data) % size) + int(value).to_bytes(size, "little")
        buffer = c.create_string_buffer(bytes(data) + bytes(16))
        self.kept.append(buffer)
        return c.addressof(buffer)

    def blank(self, kind, size, next):
        return self.struct(kind, *[("I", 0)] * (size // 4), next=next)

    def call(self, name, *arguments):
        # Addresses are plain numbers here, and ctypes would cut them to 32 bits.
        arguments = [c.c_void_p(a) if isinstance(a, int) else a for a in arguments]
        result = getattr(self.lib, name)(*arguments)
        if result < 0:
            raise RuntimeError(f"{name}: {result}")

    def extensions(self):
        count = c.c_uint32()
        self.call("vkEnumerateDeviceExtensionProperties", self.physical, 0, c.byref(count), 0)
        all = (c.c_char * (260 * count.value))()
        self.call("vkEnumerateDeviceExtensionProperties", self.physical, 0, c.byref(count), all)
        return {all[260 * i : 260 * i + 256].split(b"\0")[0] for i in range(count.value)}

    def extra(self, name):
        address = self.lib.vkGetDeviceProcAddr(self.device, name)
        return c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p)(address)

    def statistics(self, words, entry, params, buffers):
        """What the driver says of one pipeline."""
        self.kept = self.kept[-64:]
        code = c.create_string_buffer(words, len(words))
        name = c.create_string_buffer(entry.encode())
        module, sets, layout, pipeline = c.c_void_p(), c.c_void_p(), c.c_void_p(), c.c_void_p()
        self.call("vkCreateShaderModule", self.device, self.struct(16, ("I", 0), ("Q", len(words)), ("Q", c.addressof(code))), 0, c.byref(module))
        bindings = [(params, UNIFORM_DYNAMIC)] * (params >= 0) + [(b, STORAGE) for b in buffers]
        packed = b"".join(b"".join(int(v).to_bytes(4, "little") for v in (b, kind, 1, COMPUTE)) + bytes(8) for b, kind in bindings)
        table = c.create_string_buffer(packed, max(len(packed), 1))
        self.call("vkCreateDescriptorSetLayout", self.device, self.struct(32, ("I", 0), ("I", len(bindings)), ("Q", c.addressof(table))), 0, c.byref(sets))
        pointer = c.c_uint64(sets.value)
        self.call("vkCreatePipelineLayout", self.device, self.struct(30, ("I", 0), ("I", 1), ("Q", c.addressof(pointer)), ("I", 0), ("Q", 0)), 0, c.byref(layout))
        # The stage lies in the pipeline's structure: type, next, flags, stage, module, name, specialisation; layout, base, index.
        create = self.struct(
            29, ("I", CAPTURE_STATISTICS), ("Q", 18), ("Q", 0), ("I", 0), ("I", COMPUTE), ("Q", module.value), ("Q", c.addressof(name)),
            ("Q", 0), ("Q", layout.value), ("Q", 0), ("I", 0),
        )
        self.call("vkCreateComputePipelines", self.device, 0, c.c_uint32(1), create, 0, c.byref(pipeline))
        count = c.c_uint32(1)
        properties = c.create_string_buffer((1000269002).to_bytes(8, "little") + bytes(600))
        self.extra(b"vkGetPipelineExecutablePropertiesKHR")(self.device, self.struct(1000269001, ("Q", pipeline.value)), c.addressof(count), c.addressof(properties))
        found = {"Subgroup": int.from_bytes(properties.raw[532:536], "little")}
        info = self.struct(1000269003, ("Q", pipeline.value), ("I", 0))
        read = self.extra(b"vkGetPipelineExecutableStatisticsKHR")
        count = c.c_uint32()
        read(self.device, info, c.addressof(count), 0)
        all = c.create_string_buffer(((1000269004).to_bytes(8, "little") + bytes(536)) * count.value)
        read(self.device, info, c.addressof(count), c.addressof(all))
        for i in range(count.value):
            one = all.raw[544 * i : 544 * (i + 1)]
            found[one[16:272].split(b"\0")[0].decode()] = int.from_bytes(one[536:544], "little")
        for what, handle in [("Pipeline", pipeline), ("PipelineLayout", layout), ("DescriptorSetLayout", sets), ("ShaderModule", module)]:
            getattr(self.lib, f"vkDestroy{what}")(self.device, handle, None)
        return found


def compile_from(folder, first):
    """Tells the rows from `first` on, one a line, each after its number: so that it is known where the driver ended."""
    vulkan = Vulkan()
    matrices = b"VK_KHR_cooperative_matrix" in vulkan.extensions()
    for at, line in enumerate(open(os.path.join(folder, "index.tsv"))):
        file, name, entry, params, buffers, *_ = line.rstrip("\n").split("\t")
        # Matrices of 8x8 are those of other makers.
        if at < first or (" EDGE=" in name and not (matrices and " EDGE=16" in name)):
            continue
        print(f"at {at} {name.replace(' ', ';')} {entry}", flush=True)
        words = open(os.path.join(folder, file), "rb").read()
        try:
            found = vulkan.statistics(words, entry, int(params), [int(b) for b in buffers.split(",") if b])
            print("found", ";".join(f"{k}={v}" for k, v in found.items()), flush=True)
        except RuntimeError as error:
            print("refused", error, flush=True)


def rows_of(folder, chip):
    """Of each pipeline its name and what the driver says, or a word why there is none."""
    rows, first = [], 0
    while True:
        environment = dict(os.environ, RADV_FORCE_FAMILY=chip, MESA_SHADER_CACHE_DISABLE="true")
        command = [os.environ["LIMBECK_RUNNER"], sys.executable, __file__, "--compile", folder, str(first)]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        opened = False
        for line in child.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "at":
                number, name, entry = rest.split(" ")
                first, opened = int(number) + 1, True
                rows.append((f"{name}/{entry}", None, "ended the driver"))
            elif kind == "found":
                found = {k: int(v) for k, v in (pair.split("=") for pair in rest.split(";"))}
                rows[-1] = (rows[-1][0], found, "")
            elif kind == "refused":
                rows[-1] = (rows[-1][0], None, rest)
        if child.wait() == 0:
            return rows
        if not opened:
            sys.exit(f"error: no device of the chip {chip}, or the driver ends before its first pipeline: {child.returncode}")


def main():
    if sys.argv[1:2] == ["--compile"]:
        return compile_from(sys.argv[2], int(sys.argv[3]))
    if len(sys.argv) < 2 or "LIMBECK_RUNNER" not in os.environ:
        sys.exit(__doc__)
    folder, chips = sys.argv[1], sys.argv[2:] or CHIPS
    print("| chip | pipelines | without | spill VGPRs | spill SGPRs | most VGPRs | LDS, most bytes | waves a SIMD: median | least |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for chip in chips:
        rows = rows_of(folder, chip)
        built = [found for _, found, _ in rows if found]
        columns = list(dict.fromkeys(key for found in built for key in found))
        with open(f"target/gpus/{chip}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["pipeline", "why there is none"] + columns)
            writer.writerows([name, why] + [found.get(key, "") if found else "" for key in columns] for name, found, why in rows)
        most = lambda key: max((found.get(key, 0) for found in built), default=0)
        spill = lambda key: sum(found.get(key, 0) > 0 for found in built)
        waves = [found.get("Subgroups per SIMD", 0) for found in built] or [0]
        numbers = [len(built), len(rows) - len(built), spill("Spilled VGPRs"), spill("Spilled SGPRs"), most("VGPRs"), most("LDS size")]
        print("|", " | ".join(map(str, [chip] + numbers + [int(statistics.median(waves)), min(waves)])), "|", flush=True)


main()
