import ForgeBase
import ForgeSystem
import Glibc

/// Which paths of packages are left out: dpkg's `path-exclude` and `path-include`, in which the last pattern that
/// matches decides. See dpkg(1).
struct PathFilter: Sendable {
    struct Pattern: Sendable {
        /// A glob over absolute paths, in which `*` also matches `/`.
        var glob: ByteString
        var includes: Bool
    }

    var patterns: [Pattern]

    static let everything = PathFilter(patterns: [])

    /// - Parameters:
    ///   - exclude: globs over absolute paths.
    ///   - include: exceptions, which win.
    init(exclude: [String], include: [String]) {
        patterns =
            exclude.map { Pattern(glob: ByteString($0), includes: false) }
            + include.map { Pattern(glob: ByteString($0), includes: true) }
    }

    init(patterns: [Pattern]) { self.patterns = patterns }

    /// Whether an absolute path is left out.
    /// - Parameter keepsWay: for directories and links: whether an exception could match below the path, which then
    ///   stays, as with dpkg.
    func skips(_ path: ByteString, keepsWay: Bool) -> Bool {
        guard !patterns.isEmpty else { return false }
        var skip = false
        for pattern in patterns where pattern.includes == skip {
            if pattern.glob.withCString({ glob in path.withCString { fnmatch(glob, $0, 0) } }) == 0 {
                skip = !pattern.includes
            }
        }
        guard skip, keepsWay else { return skip }
        return !patterns.contains { pattern in
            guard pattern.includes else { return false }
            var fixed = pattern.glob.bytes.prefix { !Array("*?[\\".utf8).contains($0) }
            while fixed.last == UInt8(ascii: "/") { fixed.removeLast() }
            return path.bytes.prefix(fixed.count).elementsEqual(fixed)
        }
    }
}
