"""Compiles HLSL with Microsoft's DirectX shader compiler, without Windows, and tells what fails.

    ./x dxc [MODEL...]            which runs: python3 tools/dxc.py FOLDER [MODEL...]

FOLDER is what the example `shaders` wrote. Each pipeline is compiled as wgpu does it, for the least shader model that has what it uses
(6_0, 6_2), or for each MODEL that is named; pipelines whose least is above it are left out. Any word of the compiler is a failure, as it is
to wgpu. The compiler is DXC for Linux, out of a package of PyPI of which nothing else is used, fetched into target/drivers/dxc/ by pip.
"""

import ctypes as c
import os
import subprocess
import sys
import tarfile
import tempfile
import time

PACKAGE = "compushady==0.17.5"
SHA256 = "5052caf9e955d8e7a48e22f536e82b44b72e83af46e824a9e99157c7809de691"
LIBRARY = "libdxcompiler_x86_64.so.3.7"
# The least model of DXC; wgpu gives 5.1 to the older compiler that comes with Windows.
LEAST = "6_0"
# What it says of every shader here: signing is the part of a library that Windows alone has.
UNSIGNED = "DXIL.dll not found"
# Outputs of a compilation.
OBJECT, ERRORS = 1, 2
UTF8 = 65001


def library():
    """Where the compiler's library is; fetched the first time."""
    folder = os.path.join("target", "drivers", "dxc")
    path = os.path.join(folder, LIBRARY)
    if os.path.exists(path):
        return path
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        wanted = os.path.join(temporary, "wanted.txt")
        with open(wanted, "w") as file:
            file.write(f"{PACKAGE} --hash=sha256:{SHA256}\n")
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "--require-hashes", "-d", temporary]
        subprocess.run(pip + ["-r", wanted], check=True)
        archive = next(name for name in os.listdir(temporary) if name.endswith(".tar.gz"))
        with tarfile.open(os.path.join(temporary, archive)) as tar:
            member = next(m for m in tar.getmembers() if m.name.endswith("/" + LIBRARY))
            data = tar.extractfile(member).read()
    with open(path + ".part", "wb") as file:
        file.write(data)
    os.rename(path + ".part", path)
    return path


class Guid(c.Structure):
    _fields_ = [("a", c.c_uint32), ("b", c.c_uint16), ("c", c.c_uint16), ("d", c.c_uint8 * 8)]

    @classmethod
    def of(cls, text):
        a, b, rest, d, e = text.split("-")
        return cls(int(a, 16), int(b, 16), int(rest, 16), (c.c_uint8 * 8)(*bytes.fromhex(d + e)))


class Text(c.Structure):
    _fields_ = [("start", c.c_char_p), ("size", c.c_size_t), ("encoding", c.c_uint32)]


COMPILER = Guid.of("73e22d93-e6ce-47f3-b5bf-f0664f39c1b0")
COMPILER3 = Guid.of("228b4687-5a6a-4730-900c-9702b2203f54")
RESULT = Guid.of("58346cda-dde7-4497-9461-6f87af5e0659")
VERSION = Guid.of("b04f5b50-2059-4f12-a8ff-a1e0cde1cc7e")
BLOB = Guid.of("8ba5fb08-5195-40e2-ac58-0d989c3a0102")


def call(pointer, place, *arguments, returns=c.c_int32):
    """A method of a COM object, by its place in the table as documented. On Linux two destructors come behind `Release`."""
    place += 2 * (place > 2)
    table = c.cast(pointer, c.POINTER(c.POINTER(c.c_void_p))).contents
    return c.CFUNCTYPE(returns, c.c_void_p, *[type(a) for a in arguments])(table[place])(pointer, *arguments)


def check(code, what):
    if code < 0:
        raise RuntimeError(f"{what}: {code & 0xFFFFFFFF:#x}")


class Compiler:
    def __init__(self, path):
        self.pointer = c.c_void_p()
        create = c.CDLL(path).DxcCreateInstance
        check(create(c.byref(COMPILER), c.byref(COMPILER3), c.byref(self.pointer)), "DxcCreateInstance")
        version, major, minor = c.c_void_p(), c.c_uint32(), c.c_uint32()
        check(call(self.pointer, 0, c.pointer(VERSION), c.pointer(version)), "QueryInterface")
        check(call(version, 3, c.pointer(major), c.pointer(minor)), "GetVersion")
        self.version = f"{major.value}.{minor.value}"

    def compile(self, text, entry, model, halves):
        """The bytes of the object, and what the compiler says."""
        words = ["-E", entry, "-T", f"cs_{model}", "-HV", "2018", "-no-warnings", "-Ges"] + ["-enable-16bit-types"] * halves
        source, arguments = Text(text, len(text), UTF8), (c.c_wchar_p * len(words))(*words)
        result = c.c_void_p()
        code = call(self.pointer, 3, c.pointer(source), arguments, c.c_uint32(len(words)), c.c_void_p(), c.pointer(RESULT), c.pointer(result))
        check(code, "Compile")
        said, object_ = self.output(result, ERRORS), self.output(result, OBJECT)
        call(result, 2, returns=c.c_uint32)
        lines = said.rstrip(b"\0").decode(errors="replace").splitlines()
        return object_, "\n".join(line for line in lines if line.strip() and UNSIGNED not in line)

    def output(self, result, kind):
        # 3 to 5 are of a result's base: its status, its object, its errors.
        if not call(result, 6, c.c_uint32(kind)):
            return b""
        blob = c.c_void_p()
        if call(result, 7, c.c_uint32(kind), c.pointer(BLOB), c.pointer(blob), c.c_void_p()) < 0 or not blob:
            return b""
        start, size = call(blob, 3, returns=c.c_void_p), call(blob, 4, returns=c.c_size_t)
        data = c.string_at(start, size) if start else b""
        call(blob, 2, returns=c.c_uint32)
        return data


def main():
    folder, models = sys.argv[1], sys.argv[2:]
    compiler = Compiler(library())
    print(f"DXC {compiler.version}", flush=True)
    rows = [line.rstrip("\n").split("\t") for line in open(os.path.join(folder, "index.tsv"))]
    failures = 0
    for model in models or ["least"]:
        done = failed = size = 0
        started, slowest = time.monotonic(), (0.0, "")
        for file, name, entry, _, _, _, least in rows:
            least = max(least, LEAST)
            if model != "least" and model < least:
                continue
            with open(os.path.join(folder, file), "rb") as source:
                text = source.read()
            begun = time.monotonic()
            # As wgpu does where a device was opened with halves; without them the switch needs no model that has them.
            object_, said = compiler.compile(text, entry, least if model == "least" else model, least >= "6_2")
            slowest = max(slowest, (time.monotonic() - begun, f"{name}/{entry}"))
            done, size = done + 1, size + len(object_)
            if said or not object_:
                failed += 1
                print(f"{file} {name}/{entry}: {said or 'no object'}", flush=True)
        seconds = time.monotonic() - started
        print(f"{model}: {done} pipelines, {failed} fail, {size / 1e6:.1f} MB, {seconds:.0f} s, at most {slowest[0]:.1f} s: {slowest[1]}")
        failures += failed
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
