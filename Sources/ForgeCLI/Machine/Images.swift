import ForgeBase
import ForgeSystem
import Glibc

/// What is known of a Linux image without running it.
enum KernelImage {
    /// The version text of a bzImage, for example `6.1.0-30-amd64`, as the boot protocol says where it is
    /// (Documentation/arch/x86/boot.rst, field `kernel_version`).
    static func version(of bytes: [UInt8]) -> String? {
        guard bytes.count > 0x210, Array(bytes[0x202..<0x206]) == Array("HdrS".utf8) else { return nil }
        let start = 0x200 + Int(bytes[0x20e]) + Int(bytes[0x20f]) << 8
        guard start < bytes.count else { return nil }
        let text = bytes[start...].prefix(200).prefix { $0 > 0x20 && $0 < 0x7f }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }
}

/// What is known of an ISO without mounting it.
enum ISOImage {
    /// The label of its volume, from the primary volume descriptor (ECMA-119, 8.4).
    static func label(of path: String) throws -> String {
        let file = try FileDescriptor(opening: path)
        try file.seek(to: 16 * 2048)
        let descriptor = try file.read(upTo: 72)
        guard descriptor.count == 72, descriptor[0] == 1, Array(descriptor[1..<6]) == Array("CD001".utf8) else {
            throw ForgeError(.badInput, "\(path) is no ISO: it has no primary volume descriptor")
        }
        return String(decoding: descriptor[40...], as: UTF8.self).trimmed
    }
}

/// Raw disk images for data.
enum DataDisk {
    /// The label of the file system that an image of forge writes to, unless its kernel command line says otherwise.
    static let label = "FORGE_DATA"

    /// Makes a disk with an ext4 file system that fills it; nothing may have the path yet.
    static func make(_ path: String, size: Int64, label: String) throws {
        guard let program = Host.findProgram("mke2fs") else {
            throw ForgeError(
                .unsupportedHost, "there is no mke2fs, which makes the file system of a data disk",
                remedy: "apt install e2fsprogs")
        }
        try Files.makeSparse(path, size: size)
        do {
            _ = try Command(program, ["-q", "-F", "-t", "ext4"] + (label.isEmpty ? [] : ["-L", label]) + [path])
                .outputOrThrow()
        } catch {
            try? Files.remove(path)
            throw error
        }
    }
}
