import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc

/// A root file system under work: names in it are resolved as the system inside will resolve them, so that no link
/// leads out.
final class RootDirectory {
    /// The path of the root out here.
    let path: String
    let handle: Directory
    /// Directories that are known to be real, by the path that led there.
    private var real: [ByteString: ByteString] = [:]

    init(_ path: String) throws(ForgeError) {
        self.path = path
        handle = try Directory(path)
    }

    /// Forgets what was resolved: to be called when programs have run in the root.
    func forget() { real = [:] }

    /// What `lstat` says of a path whose parent is real; nil if it is not there.
    func status(_ path: ByteString) -> FileStatus? {
        var info = stat()
        let name: ByteString = path.bytes.isEmpty ? "." : path
        guard name.withCString({ fstatat(handle.raw, $0, &info, AT_SYMLINK_NOFOLLOW) }) == 0 else { return nil }
        return FileStatus(info)
    }

    /// The real path of a directory, with the links in it followed; directories that are not there are made, mode 0755.
    func directory(_ path: ByteString) throws -> ByteString {
        guard let found = try resolve(path, making: true, depth: 0) else {
            throw ForgeError(.bug, "/\(path) was not made")
        }
        return found
    }

    /// The real path of a directory; nil if it is not there and is not to be made.
    private func resolve(_ path: ByteString, making: Bool, depth: Int) throws -> ByteString? {
        if path.bytes.isEmpty { return path }
        if let known = real[path] { return known }
        guard depth < 40 else { throw ForgeError(.stageFailed, "/\(path): too many links") }
        guard let parent = try resolve(path.parent, making: making, depth: depth) else { return nil }
        let candidate = parent.appending(path.lastPart)
        let found: ByteString
        switch status(candidate)?.kind {
        case .directory: found = candidate
        case .symlink:
            let target = RootDirectory.join(parent, try handle.target(ofLink: candidate))
            guard let end = try resolve(target, making: making, depth: depth + 1) else { return nil }
            found = end
        case nil:
            guard making else { return nil }
            try handle.makeDirectory(candidate, mode: 0o755)
            try handle.setMode(candidate, 0o755)
            found = candidate
        default:
            guard making else { return nil }
            throw ForgeError(.stageFailed, "/\(path) is no directory, but files are to be put below it")
        }
        real[path] = found
        return found
    }

    /// The real path of a name: links in its parents followed, itself not; parents that are not there are made.
    func locate(_ path: ByteString) throws -> ByteString {
        path.bytes.isEmpty ? path : try directory(path.parent).appending(path.lastPart)
    }

    /// The real path of a name that is there; nil if it is not.
    func existing(_ path: ByteString) throws -> ByteString? {
        if path.bytes.isEmpty { return path }
        guard let parent = try resolve(path.parent, making: false, depth: 0) else { return nil }
        let place = parent.appending(path.lastPart)
        return status(place) == nil ? nil : place
    }

    /// The real path of what a name stands for, links followed; nil if it is not there.
    func follow(_ path: ByteString) throws -> ByteString? {
        var current = path
        for _ in 0..<40 {
            guard let place = try existing(current) else { return nil }
            guard status(place)?.kind == .symlink else { return place }
            current = RootDirectory.join(place.parent, try handle.target(ofLink: place))
        }
        throw ForgeError(.stageFailed, "/\(path): too many links")
    }

    /// A link's target as a path from the root.
    static func join(_ parent: ByteString, _ target: ByteString) -> ByteString {
        let slash = UInt8(ascii: "/")
        var parts = target.bytes.first == slash ? [] : parent.bytes.split(separator: slash).map { Array($0) }
        for part in target.bytes.split(separator: slash) {
            if part.elementsEqual(".".utf8) { continue }
            if part.elementsEqual("..".utf8) {
                if !parts.isEmpty { parts.removeLast() }
            } else {
                parts.append(Array(part))
            }
        }
        return ByteString(parts.joined(separator: [slash]))
    }

    // MARK: Small files

    /// The bytes of a file, links followed; nil if it is not there.
    func read(_ path: ByteString) throws -> [UInt8]? {
        guard let place = try follow(path) else { return nil }
        return try handle.open(place, flags: O_RDONLY).readAll()
    }

    /// The text of a file, links followed; empty if it is not there.
    func text(_ path: ByteString) throws -> String { String(decoding: try read(path) ?? [], as: UTF8.self) }

    /// Replaces a file, or makes it; parents that are not there are made. What was there keeps its owner and mode
    /// unless others are given.
    func write(_ path: ByteString, _ bytes: [UInt8], mode: UInt32? = nil, uid: UInt32? = nil, gid: UInt32? = nil) throws
    {
        let place = try locate(path)
        var old = status(place)
        if let kind = old?.kind, kind != .file {
            guard kind != .directory else { throw ForgeError(.stageFailed, "/\(path) is a directory, not a file") }
            try handle.remove(place)
            old = nil
        }
        let file = try handle.open(place, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try file.write(bytes)
        try file.setOwner(uid: uid ?? old?.uid ?? 0, gid: gid ?? old?.gid ?? 0)
        try file.setMode(mode ?? old?.mode ?? 0o644)
    }

    func write(_ path: ByteString, _ text: String, mode: UInt32? = nil) throws {
        try write(path, Array(text.utf8), mode: mode)
    }

    /// Removes a name with everything below it, if it is there.
    func remove(_ path: ByteString) throws {
        guard let place = try existing(path) else { return }
        try handle.remove(place)
        forget()
    }
}
