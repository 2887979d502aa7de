import ForgeBase
import ForgeStore
import ForgeSystem

/// The limits of a cache: the environment's, else those of the file `config` in the cache.
///
///     # What a line sets, as options of `forge cache gc` do.
///     max-size: 20G
///     min-free: 10G
///     max-age: 30
///     max-tool-size: 5G
struct CacheLimits {
    let session: Session
    static let file = "config"
    /// Name in the file and of the option, and what the environment calls it.
    private static let names = [
        ("max-size", "FORGE_CACHE_MAX_SIZE"), ("min-free", "FORGE_CACHE_MIN_FREE"),
        ("max-age", "FORGE_CACHE_MAX_AGE"), ("max-tool-size", "FORGE_CACHE_MAX_TOOL_SIZE"),
    ]
    /// What tool caches may take if nobody says otherwise: some ten kernels with their variants.
    private static let toolDefault: Int64 = 5 << 30

    /// The policy that options, environment and file give together, in this order.
    func policy(options: Bool = false) throws -> CollectionPolicy {
        let written = try read()
        var values: [String: (text: String, source: String)] = [:]
        for (name, variable) in CacheLimits.names {
            if options, let text = session.arguments.value(name) {
                values[name] = (text, "--\(name)")
            } else if let text = Host.environment(variable) {
                values[name] = (text, variable)
            } else if let line = written[name] {
                values[name] = line
            }
        }
        func size(_ name: String) throws(ForgeError) -> Int64? {
            guard let (text, source) = values[name], text != "none" else { return nil }
            guard let size = Format.size(text) else {
                throw ForgeError(.badInput, "\(source) must be a size such as 20G, or none, not “\(text)”")
            }
            return size
        }
        var policy = CollectionPolicy(maxSize: try size("max-size"), minFree: try size("min-free"))
        policy.maxToolSize = values["max-tool-size"] == nil ? CacheLimits.toolDefault : try size("max-tool-size")
        if let (text, source) = values["max-age"], text != "none" {
            guard let days = Int64(text), days >= 0, days < 100_000 else {
                throw ForgeError(.badInput, "\(source) must be a number of days, or none, not “\(text)”")
            }
            policy.maxAge = days * 86_400
        }
        return policy
    }

    /// Bytes that a tool cache may take while it is used; nil if there shall be none. A fault in a limit is reported when the
    /// build is done.
    func toolLimit() -> Int64? {
        guard let policy = try? policy() else { return CacheLimits.toolDefault }
        let limit = policy.maxToolSize ?? .max
        return limit > 0 ? limit : nil
    }

    /// After a build that ran something: removes the longest unused if the cache is over its limits. A build is done
    /// whatever comes of this.
    /// - Parameter afterTools: whether tool caches may have grown: only then all of their files are looked at.
    func apply(afterTools: Bool) {
        do {
            let policy = try policy()
            let store = try session.store()
            if afterTools, let limit = policy.maxToolSize { try store.trimToolCachesIfFree(to: limit) }
            guard !policy.isEmpty, try store.exceeds(policy) else { return }
            // Further than to the limit, so that the next builds find room.
            var further = policy
            further.maxSize = policy.maxSize.map { $0 / 10 * 9 }
            further.minFree = policy.minFree.map { $0 + $0 / 10 }
            // While another build is using the cache, nothing goes; the last one to end collects.
            if let report = try store.collectIfFree(further), report.bytesRemoved > 0 {
                session.console.note(
                    "over its limits, the cache was brought from \(Format.bytes(report.bytesKept + report.bytesRemoved)) "
                        + "to \(Format.bytes(report.bytesKept))")
            }
        } catch { session.console.warning("the cache was not brought to its limits: \(error)") }
    }

    private func read() throws -> [String: (text: String, source: String)] {
        let path = "\(try session.cacheDirectory())/\(CacheLimits.file)"
        guard let bytes = try Files.readIfPresent(path) else { return [:] }
        var values: [String: (text: String, source: String)] = [:]
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        for (i, line) in lines.enumerated() {
            let text = CacheLimits.trimmed(line.prefix { $0 != "#" })
            if text.isEmpty { continue }
            let parts = text.split(separator: ":", maxSplits: 1)
            let name = CacheLimits.trimmed(parts[0])
            guard parts.count == 2, CacheLimits.names.contains(where: { $0.0 == name }), values[name] == nil else {
                throw ForgeError(
                    .badInput, "“\(text)” sets no limit of a cache",
                    at: SourceLocation(file: path, line: i + 1, column: 1),
                    remedy: "write one line for each, such as `max-size: 20G`, `min-free: 10G`, `max-age: 30` (days), "
                        + "`max-tool-size: 5G`")
            }
            values[name] = (CacheLimits.trimmed(parts[1]), "\(path):\(i + 1): \(name)")
        }
        return values
    }

    private static func trimmed(_ text: Substring) -> String {
        let front = text.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
        return String(front.reversed().drop { $0 == " " || $0 == "\t" || $0 == "\r" }.reversed())
    }
}
