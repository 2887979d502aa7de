package import ForgeBase
import ForgeSystem
import Glibc

/// What tools such as compilers keep between builds (`tool-cache:` of a stage): files that scripts write while they run.
///
///     tools/<map>/<name>/<64 hex digits>/   of one build root, so that no tool reads what another version wrote
///
/// Not objects, and in no key: losing any of them costs time and nothing else.
package enum ToolCaches {
    /// Below the cache directory.
    package static let folder = "tools"

    /// The folder of one tool cache; it need not be there.
    /// - Parameter map: how uids of the sandbox become uids of the disk, as `Checkouts` has it.
    package static func folder(in cache: String, map: String, name: String, buildRoot: Digest) -> String {
        "\(cache)/\(folder)/\(map)/\(name)/\(buildRoot.hex)"
    }

    struct File {
        var path: String
        var size: Int64
        /// Seconds since 1970. Tools set the time of a file that they use (ccache does).
        var used: Int64
    }

    /// Every file of every tool cache. What vanishes meanwhile, under a compiler that runs, is passed over.
    static func files(in cache: String) throws -> [File] {
        var found: [File] = []
        var folders = ["\(cache)/\(folder)"]
        while let folder = folders.popLast() {
            guard let names = try? Files.list(folder) else { continue }
            for name in names {
                let path = "\(folder)/\(name)"
                guard let status = try Files.status(path) else { continue }
                switch status.kind {
                case .directory: folders.append(path)
                case .file:
                    let used = status.identity.modified / 1_000_000_000
                    found.append(File(path: path, size: status.size, used: used))
                default: continue
                }
            }
        }
        return found
    }

    /// Removes the longest unused files until the rest is not larger than `limit`, and all that were not used since a time.
    /// Only while no build runs.
    /// - Parameter unusedSince: seconds since 1970.
    /// - Returns: bytes of the files removed. Another user's stay.
    static func trim(in cache: String, to limit: Int64, unusedSince: Int64 = .min) throws -> Int64 {
        let files = try files(in: cache).sorted { ($0.used, $0.path) > ($1.used, $1.path) }
        var kept: Int64 = 0
        var removed: Int64 = 0
        var full = false
        for file in files {
            if file.size > limit - kept { full = true }
            if !full, file.used >= unusedSince {
                kept += file.size
            } else if unlink(file.path) == 0 {
                removed += file.size
            }
        }
        return removed
    }
}

extension Store {
    /// Brings tool caches to a limit, if they are over it and no build is running.
    package func trimToolCachesIfFree(to limit: Int64) throws {
        guard try ToolCaches.files(in: directory).reduce(0, { $0 + $1.size }) > limit,
            let alone = try FileLock.tryLock(directory + "/gc.lock")
        else { return }
        _ = try ToolCaches.trim(in: directory, to: limit / 10 * 9)
        _ = consume alone
    }
}
