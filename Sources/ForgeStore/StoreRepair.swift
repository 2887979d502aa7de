package import ForgeBase
import ForgeSystem
import Glibc

/// Something wrong in a cache.
package struct StoreDamage: Sendable, Equatable, CustomStringConvertible {
    package enum Subject: Sendable, Equatable {
        /// An object's row or file.
        case object(Digest)
        /// A file below `objects/` whose name is no digest of its size.
        case stray(String)
        /// The result of an action, by its key.
        case action(Digest)
        /// A checked-out tree, by its directory.
        case checkout(String)
        case database(String)
    }

    package var subject: Subject
    /// Why, one line.
    package var reason: String

    package var description: String {
        switch subject {
        case .object(let digest): "object \(digest): \(reason)"
        case .stray(let path): "\(path): \(reason)"
        case .action(let key): "result of action \(key.hex): \(reason)"
        case .checkout(let path): "\(path): \(reason)"
        case .database(let path): "\(path): \(reason)"
        }
    }
}

/// Checking every byte of a cache, and dropping what is wrong. What was dropped is built or fetched again when needed.
extension Store {
    /// Everything that is wrong with a cache, also with one whose database can't be opened: see ``verify(jobs:)``.
    package static func verify(directory: String, jobs: Int = 2) throws -> [StoreDamage] {
        let path = directory + "/forge.db"
        // Not by the store, because a damaged file is what this is for.
        if Files.exists(path), let fault = try Salvage.fault(of: path) {
            return [StoreDamage(subject: .database(path), reason: fault)]
        }
        return try Store(directory: directory).verify(jobs: jobs)
    }

    /// Everything that is wrong: objects whose bytes have another hash, rows that have changed, results that need objects
    /// which are damaged or gone, checked-out trees that differ. Reads the whole cache.
    /// - Parameter jobs: threads that hash.
    package func verify(jobs: Int = 2) throws -> [StoreDamage] {
        // A collection would take away what was listed a moment ago.
        let use = isReadOnly ? nil : try hold()
        defer { withExtendedLifetime(use) {} }
        return try examine(jobs: jobs)
    }

    private func examine(jobs: Int) throws -> [StoreDamage] {
        if !isReadOnly { try writeRows() }
        var damages: [StoreDamage] = []
        damages += try database.use { connection throws(ForgeError) in try connection.faults() }
            .map { StoreDamage(subject: .database(self.database.path), reason: $0) }
        damages += try verifyRows()
        damages += try verifyFiles(jobs: jobs)
        var bad: Set<Digest> = []
        for case .object(let digest) in damages.map(\.subject) { bad.insert(digest) }
        damages += try verifyResults(without: bad)
        damages += try verifySeals()
        for found in try Checkouts.list(in: directory) {
            if let reason = try found.fault(in: self) {
                damages.append(StoreDamage(subject: .checkout(found.path), reason: reason))
            }
        }
        return damages
    }

    private func verifyResults(without bad: Set<Digest>) throws -> [StoreDamage] {
        var damages: [StoreDamage] = []
        var known: [Digest: Bool] = [:]
        func isGood(_ digest: Digest) throws -> Bool {
            if let answer = known[digest] { return answer }
            let answer = try !bad.contains(digest) && contains(digest)
            known[digest] = answer
            return answer
        }
        for action in try actionsByUse() {
            guard let key = Digest(stored: action.key) else {
                damages.append(
                    StoreDamage(subject: .database(database.path), reason: "the key of a result has another length"))
                continue
            }
            guard let outputs = action.outputs else {
                damages.append(StoreDamage(subject: .action(key), reason: "its row has changed"))
                continue
            }
            for output in outputs {
                guard try isGood(output.digest) else {
                    damages.append(
                        StoreDamage(
                            subject: .action(key), reason: "its output “\(output.name)” (\(output.digest)) is gone"))
                    break
                }
                let lost = try closure(output.digest, output.kind)?.sorted().first { try !isGood($0) }
                if let lost {
                    damages.append(
                        StoreDamage(
                            subject: .action(key),
                            reason: "its output “\(output.name)” needs object \(lost), which is gone"))
                    break
                }
            }
        }
        return damages
    }

    private func verifyRows() throws -> [StoreDamage] {
        try database.use { connection throws(ForgeError) in
            var damages: [StoreDamage] = []
            try connection.rows("SELECT hash, size, encoding, bytes FROM objects ORDER BY hash") {
                row throws(ForgeError) in
                guard let digest = Digest(hash: row.blob(0), size: row.int(1)) else {
                    damages.append(
                        StoreDamage(
                            subject: .database(self.database.path), reason: "the hash of an object has another length"))
                    return true
                }
                let plain = Encoding(rawValue: row.int(2)).flatMap { try? self.decode(row.blob(3), $0, digest) }
                if plain.map({ Digest.of($0) }) != digest {
                    damages.append(StoreDamage(subject: .object(digest), reason: "its row has other bytes"))
                }
                return true
            }
            return damages
        }
    }

    /// Rows that can be had again by work and have changed: they count for nothing, and a repair removes them.
    private func verifySeals() throws -> [StoreDamage] {
        try database.use { connection throws(ForgeError) in
            var damages: [StoreDamage] = []
            for table in RowSeal.tables where table.name != "actions" {
                let sql = "SELECT count(*) FROM \(table.name) WHERE seal != forge_seal(\(table.columns))"
                guard let count = try connection.int(sql), count > 0 else { continue }
                damages.append(
                    StoreDamage(
                        subject: .database(self.database.path), reason: "\(count) rows of “\(table.name)” have changed")
                )
            }
            return damages
        }
    }

    private func verifyFiles(jobs: Int) throws -> [StoreDamage] {
        var files: [(path: String, digest: Digest?)] = []
        try eachObjectFile { path, _, digest in files.append((path, digest)) }
        let list = files
        let found = Locked<[(Int, StoreDamage)]>([])
        try Threads.forEach(list.count, width: jobs) { index in
            let (path, named) = list[index]
            guard let named else {
                let damage = StoreDamage(subject: .stray(path), reason: "its name is no digest")
                return found.withLock { $0.append((index, damage)) }
            }
            guard let reason = Store.fault(ofFile: path, named) else { return }
            found.withLock { $0.append((index, StoreDamage(subject: .object(named), reason: reason))) }
        }
        return found.withLock { $0 }.sorted { $0.0 < $1.0 }.map(\.1)
    }

    /// Why a file is not the object that it should be; nil if it is, or if it is gone.
    private static func fault(ofFile path: String, _ digest: Digest) -> String? {
        do {
            var hasher = SHA256()
            try FileDescriptor(opening: path).each { hasher.update($0) }
            let got = hasher.finish()
            if got.size != digest.size { return "\(path) has \(got.size) bytes" }
            return got == digest ? nil : "\(path) has other bytes"
        } catch {
            // A bad block of the disk, for example.
            return Files.exists(path) ? "\(path) can't be read: \((error as? ForgeError)?.message ?? "\(error)")" : nil
        }
    }

    /// Opens a cache after dropping everything that ``verify(jobs:)`` finds wrong with it. A database that SQLite can't
    /// read is put aside, and what can be read of it goes to a new one.
    /// - Returns: what was dropped, each named.
    /// - Throws: `.io` if a build is using the cache.
    package static func repair(directory: String, jobs: Int = 2) throws -> [StoreDamage] {
        guard Files.isDirectory(directory) else { throw ForgeError(.io, "there is no cache \(directory)") }
        let alone = try Store.alone(in: directory)
        defer { withExtendedLifetime(alone) {} }
        var damages = try Salvage.run(directory + "/forge.db")
        let store = try Store(directory: directory)
        // Dropping an object may leave results without it, and dropping happens in one pass over both.
        let found = try store.examine(jobs: jobs)
        for damage in found { try store.drop(damage) }
        damages += found
        return damages
    }

    private func drop(_ damage: StoreDamage) throws {
        switch damage.subject {
        case .object(let digest):
            try Files.remove(filePath(digest))
            try database.use { connection throws(ForgeError) in
                try connection.run("DELETE FROM objects WHERE hash = ?", [.blob(digest.hash)])
            }
        case .stray(let path): try Directory.remove(path)
        case .action(let key): try forget(key)
        case .checkout(let path):
            for found in try Checkouts.list(in: directory) where found.path == path { _ = try found.remove() }
        case .database:
            try database.transaction { connection throws(ForgeError) in
                try connection.run("DELETE FROM actions WHERE length(key) != 40")
                try connection.run("DELETE FROM objects WHERE length(hash) != 32")
                for table in RowSeal.tables where table.name != "actions" {
                    try connection.run("DELETE FROM \(table.name) WHERE seal != forge_seal(\(table.columns))")
                }
            }
        }
    }
}
