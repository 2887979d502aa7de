package import ForgeBase
import ForgeSystem
import Glibc

/// What a build does about an object that is missing or damaged: it is dropped with every result that needs it, so that
/// the next look-up runs what has made it.
extension Store {
    /// Reads objects, drops those that are damaged, and forgets every result that needs one which is damaged or gone.
    /// Other builds may go on: they find a damaged object missing, and do the same.
    /// - Parameter suspects: what to read; of a tree its files too.
    /// - Returns: what was damaged or missing.
    package func heal(
        _ suspects: [(digest: Digest, kind: ActionResult.Output.Kind)], jobs: Int = 2
    ) throws -> [Digest] {
        try requireWriting()
        try writeRows()
        var lost: Set<Digest> = []
        var files: Set<Digest> = []
        for suspect in suspects {
            guard try isSound(suspect.digest) else {
                lost.insert(suspect.digest)
                continue
            }
            if suspect.kind == .tree { files.formUnion(try Tree.load(suspect.digest, from: self).objects) }
        }
        let list = files.sorted()
        let found = Locked<Set<Digest>>([])
        try Threads.forEach(list.count, width: jobs) { index in
            let digest = list[index]
            if try !self.isSound(digest) { found.withLock { _ = $0.insert(digest) } }
        }
        lost.formUnion(found.withLock { $0 })
        guard !lost.isEmpty else { return [] }
        for digest in lost { try dropIfDamaged(digest) }
        try forgetResults(needing: lost)
        return lost.sorted()
    }

    private func isSound(_ digest: Digest) throws -> Bool {
        do {
            try each(digest) { _ in }
            return true
        } catch let error as ForgeError {
            // A bad block of the disk is no fault of another kind: the object can't be had either.
            guard error.object != nil || error.code == .io else { throw error }
            return false
        }
    }

    private func dropIfDamaged(_ digest: Digest) throws {
        let path = filePath(digest)
        if digest.size > Store.inlineLimit, Files.exists(path) {
            // Away first, looked at again then: another process may just have put a good one in its place.
            let scratch = try makeScratch("damaged")
            defer { withExtendedLifetime(scratch) {} }
            let away = scratch.path + "/object"
            guard rename(path, away) == 0 else {
                if errno == ENOENT { return }
                throw ForgeError.system("cannot move \(path) away")
            }
            var hasher = SHA256()
            let read: Void? = try? FileDescriptor(opening: away).each { hasher.update($0) }
            if hasher.finish() == digest, read != nil, !Files.exists(path) { try Files.move(away, to: path) }
        }
        let bytes = try? read(digest)
        if bytes == nil {
            try database.use { connection throws(ForgeError) in
                try connection.run("DELETE FROM objects WHERE hash = ?", [.blob(digest.hash)])
            }
        }
    }

    private func forgetResults(needing lost: Set<Digest>) throws {
        var known: [Digest: Bool] = [:]
        for action in try actionsByUse() {
            guard let key = Digest(stored: action.key), let outputs = action.outputs else { continue }
            for output in outputs {
                let needs: Bool
                if let answer = known[output.digest] {
                    needs = answer
                } else {
                    needs = try closure(output.digest, output.kind).map { !$0.isDisjoint(with: lost) } ?? true
                    known[output.digest] = needs
                }
                if needs {
                    try forget(key)
                    break
                }
            }
        }
    }
}
