import ForgeBase
import ForgeStore
import ForgeSystem

/// `forge cache`
struct CacheCommand {
    let session: Session

    static let actions = [
        "stat", "verify", "repair", "gc", "pin", "unpin", "pins", "export", "import", "clear",
    ]

    func run() throws -> ExitCode {
        let action = session.arguments.operand(0) ?? ""
        try checkWords(action)
        switch action {
        case "verify": return try verify()
        case "repair": return try repair()
        case "gc": return try collect()
        case "pin": return try pin()
        case "unpin": return try unpin()
        case "pins": return try pins()
        case "export": return try export()
        case "import": return try takeIn()
        case "clear": return try clear()
        default: return try stat()
        }
    }

    /// Each action takes words and options of its own.
    private func checkWords(_ action: String) throws(ForgeError) {
        let words: [String]
        switch action {
        case "pin": words = ["RECIPE"]
        case "unpin": words = ["NAME"]
        case "export": words = ["RECIPE", "FILE"]
        case "import": words = ["FILE"]
        default: words = []
        }
        let given = session.arguments.operands.count - 1
        let remedy = (["forge cache", action] + words).joined(separator: " ")
        if given < words.count { throw ForgeError(.badInput, "missing \(words[given]): \(remedy)") }
        if given > words.count {
            let word = session.arguments.operands[words.count + 1]
            throw ForgeError(.badInput, "unexpected “\(word)”: \(remedy)")
        }
        let places = [
            "max-size": ["gc"], "min-free": ["gc"], "max-age": ["gc"], "max-tool-size": ["gc"],
            "name": ["pin"], "set": ["pin", "export"],
        ]
        for (option, actions) in places.sorted(by: { $0.key < $1.key }) where session.arguments.has(option) {
            guard !actions.contains(action) else { continue }
            throw ForgeError(.badInput, "--\(option) is for forge cache \(actions.joined(separator: " and "))")
        }
    }

    private func stat() throws -> ExitCode {
        let store = try session.store()
        let found = try store.statistics()
        let limits = try CacheLimits(session: session).policy()
        let rows: [(String, Int64, Bool)] = [
            ("actions", Int64(found.actions), false), ("builds", Int64(found.builds), false),
            ("small objects", Int64(found.rows), false), ("bytes of small objects", found.rowBytes, true),
            ("files", Int64(found.files), false), ("bytes of files", found.fileBytes, true),
            ("checkouts", Int64(found.checkouts), false), ("bytes of checkouts", found.checkoutBytes, true),
            ("pins", Int64(found.pins), false), ("bytes", found.bytes, true),
            ("files of tool caches", Int64(found.toolFiles), false),
            ("bytes of tool caches", found.toolBytes, true),
        ]
        if session.console.json {
            let fields = rows.map { ($0.0.split(separator: " ").joined(separator: "_"), JSON.int($0.1)) }
            let set: [(String, JSON)] = [
                ("max_size", limits.maxSize.map(JSON.int) ?? .null),
                ("min_free", limits.minFree.map(JSON.int) ?? .null),
                ("max_age", limits.maxAge.map(JSON.int) ?? .null),
                ("max_tool_size", limits.maxToolSize.map(JSON.int) ?? .null),
            ]
            session.console.result(
                JSON.object([("directory", .string(store.directory))] + fields + [("limits", .object(set))]).description
            )
            return .done
        }
        session.console.result(store.directory)
        for (name, value, isSize) in rows {
            session.console.result("  \(name): \(isSize ? Format.bytes(value) : String(value))")
        }
        let set = [
            limits.maxSize.map { "at most \(Format.bytes($0))" },
            limits.minFree.map { "\(Format.bytes($0)) left free" },
            limits.maxAge.map { "nothing unused for \(Format.count(Int($0 / 86_400), "day"))" },
            limits.maxToolSize.map { "tool caches at most \(Format.bytes($0))" },
        ].compactMap { $0 }
        session.console.result("  limits: \(set.isEmpty ? "none" : set.joined(separator: ", "))")
        return .done
    }

    private func verify() throws -> ExitCode {
        let damage = try Store.verify(directory: try session.cacheDirectory(), jobs: Host.coreCount)
        return report(damage, good: "every object is what its name says", remedy: "run `forge cache repair`")
    }

    /// Drops what is damaged; the next build makes it again.
    private func repair() throws -> ExitCode {
        let damage = try Store.repair(directory: try session.cacheDirectory(), jobs: Host.coreCount)
        _ = report(damage, good: "nothing was damaged", remedy: nil)
        return .done
    }

    /// Removes everything in the cache, also what belongs to ids of an ordinary user's range.
    private func clear() throws -> ExitCode {
        let directory = try session.cacheDirectory()
        let alone = try Store.alone(in: directory)
        defer { withExtendedLifetime(alone) {} }
        for name in [
            "forge.db", "forge.db-wal", "forge.db-shm", "objects", "partial", "tmp", "checkouts", "logs",
            ToolCaches.folder,
        ] {
            let path = "\(directory)/\(name)"
            if (try? Files.remove(path)) != nil { continue }
            _ = try Command(try session.helper(), ["remove", path], namespaces: .private(network: false))
                .outputOrThrow()
        }
        session.console.note("\(directory) is empty")
        return .done
    }

    private func report(_ damage: [StoreDamage], good: String, remedy: String?) -> ExitCode {
        if session.console.json {
            session.console.result(
                JSON.object([("damaged", .array(damage.map { .string($0.description) }))]).description)
        } else {
            for item in damage { session.console.result(item.description) }
            session.console.note(
                damage.isEmpty ? good : remedy.map { "\(damage.count) damaged; \($0)" } ?? "\(damage.count) dropped")
        }
        return damage.isEmpty ? .done : .verification
    }

    /// By the options, and by the limits that are set for the cache where no option says otherwise.
    private func collect() throws -> ExitCode {
        let policy = try CacheLimits(session: session).policy(options: true)
        let report = try session.store().collect(policy)
        if session.console.json {
            session.console.result(
                JSON.object([
                    ("actions_removed", .int(Int64(report.actionsRemoved))),
                    ("objects_removed", .int(Int64(report.objectsRemoved))),
                    ("checkouts_removed", .int(Int64(report.checkoutsRemoved))),
                    ("bytes_removed", .int(report.bytesRemoved)), ("bytes_kept", .int(report.bytesKept)),
                    ("bytes_pinned", .int(report.bytesPinned)),
                    ("tool_bytes_removed", .int(report.toolBytesRemoved)),
                ]).description)
            return .done
        }
        let pinned = report.bytesPinned > 0 ? " (\(Format.bytes(report.bytesPinned)) pinned)" : ""
        session.console.result(
            "removed \(Format.bytes(report.bytesRemoved)) in \(report.objectsRemoved) objects and "
                + "\(report.checkoutsRemoved) checkouts, kept \(Format.bytes(report.bytesKept))\(pinned)")
        if report.toolBytesRemoved > 0 {
            session.console.result("removed \(Format.bytes(report.toolBytesRemoved)) of tool caches")
        }
        for line in report.left { session.console.warning("left, because it is used or another user's: \(line)") }
        if let most = policy.maxSize, report.bytesPinned > most {
            session.console.warning(
                "pins alone keep \(Format.bytes(report.bytesPinned)), more than the limit; see `forge cache pins`")
        }
        return .done
    }
}
