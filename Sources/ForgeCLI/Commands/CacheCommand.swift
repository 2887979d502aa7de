import ForgeBase
import ForgeStore
import ForgeSystem

/// `forge cache`
struct CacheCommand {
    let session: Session

    func run() throws -> ExitCode {
        switch session.arguments.operand(0) {
        case "verify": return try verify()
        case "repair": return try repair()
        case "gc": return try collect()
        case "clear": return try clear()
        default: return try stat()
        }
    }

    private func stat() throws -> ExitCode {
        let store = try session.store()
        let found = try store.statistics()
        let rows: [(String, Int64, Bool)] = [
            ("actions", Int64(found.actions), false), ("builds", Int64(found.builds), false),
            ("small objects", Int64(found.rows), false), ("bytes of small objects", found.rowBytes, true),
            ("files", Int64(found.files), false), ("bytes of files", found.fileBytes, true),
            ("checkouts", Int64(found.checkouts), false), ("bytes of checkouts", found.checkoutBytes, true),
            ("pins", Int64(found.pins), false),
        ]
        if session.console.json {
            let fields = rows.map { ($0.0.split(separator: " ").joined(separator: "_"), JSON.int($0.1)) }
            session.console.result(JSON.object([("directory", .string(store.directory))] + fields).description)
            return .done
        }
        session.console.result(store.directory)
        for (name, value, isSize) in rows {
            session.console.result("  \(name): \(isSize ? Format.bytes(value) : String(value))")
        }
        return .done
    }

    private func verify() throws -> ExitCode {
        let damage = try session.store().verify()
        return report(damage, good: "every object is what its name says", remedy: "run `forge cache repair`")
    }

    /// Drops what is damaged; the next build makes it again.
    private func repair() throws -> ExitCode {
        let damage = try Store.repair(directory: try session.cacheDirectory())
        _ = report(damage, good: "nothing was damaged", remedy: nil)
        return .done
    }

    /// Removes everything in the cache, also what belongs to ids of an ordinary user's range.
    private func clear() throws -> ExitCode {
        let directory = try session.cacheDirectory()
        let lock = try FileLock.tryLock(directory + "/gc.lock")
        guard lock != nil else {
            throw ForgeError(.io, "a build is using the cache \(directory)", remedy: "run this again when it is done")
        }
        for name in [
            "forge.db", "forge.db-wal", "forge.db-shm", "objects", "partial", "tmp", "checkouts", "logs",
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

    private func collect() throws -> ExitCode {
        let arguments = session.arguments
        func size(_ option: String) throws -> Int64? {
            guard let text = arguments.value(option) else { return nil }
            guard let size = Format.size(text) else {
                throw ForgeError(.badInput, "--\(option) must be a size such as 20G, not “\(text)”")
            }
            return size
        }
        let policy = CollectionPolicy(
            maxSize: try size("max-size"), minFree: try size("min-free"),
            maxAge: try arguments.number("max-age", least: 0).map { Int64($0) * 86_400 })
        let report = try session.store().collect(policy)
        if session.console.json {
            session.console.result(
                JSON.object([
                    ("actions_removed", .int(Int64(report.actionsRemoved))),
                    ("objects_removed", .int(Int64(report.objectsRemoved))),
                    ("checkouts_removed", .int(Int64(report.checkoutsRemoved))),
                    ("bytes_removed", .int(report.bytesRemoved)), ("bytes_kept", .int(report.bytesKept)),
                ]).description)
        } else {
            session.console.result(
                "removed \(Format.bytes(report.bytesRemoved)) in \(report.objectsRemoved) objects and "
                    + "\(report.checkoutsRemoved) checkouts, kept \(Format.bytes(report.bytesKept))")
            for line in report.left { session.console.warning(line) }
        }
        return .done
    }
}
