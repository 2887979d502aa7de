import ForgeBase
import ForgeEngine
import ForgeStore

/// A build that meets a missing or damaged object of the cache: the object is dropped with every result that needs it, and
/// the build goes on from there, which runs what has made it.
struct Healing {
    let session: Session
    /// Builds in a row that may meet damage. Each drops everything damaged that its failed actions have read, so that more
    /// means a disk or a memory that nothing can be built with.
    private static let most = 10

    /// Runs a build, again after each damage.
    /// - Returns: the outcome of the last run.
    func run(_ attempt: () throws -> Build.Outcome) throws -> Build.Outcome {
        for _ in 1..<Healing.most {
            do {
                let outcome = try attempt()
                try tell()
                guard try heal(suspects(outcome)) else { return outcome }
            } catch let error as ForgeError {
                guard let object = error.object, try heal([(object, .file)]) else { throw error }
            }
        }
        return try attempt()
    }

    /// What the failed actions of a build have read, if an object was what they failed by.
    private func suspects(_ outcome: Build.Outcome) -> [(digest: Digest, kind: ActionResult.Output.Kind)] {
        guard !outcome.engine.interrupted else { return [] }
        var suspects: [(digest: Digest, kind: ActionResult.Output.Kind)] = []
        for (index, error) in outcome.engine.errors.sorted(by: { $0.key < $1.key }) {
            guard let object = error.object else { continue }
            suspects.append((object, .file))
            guard let request = try? outcome.engine.request(for: index) else { continue }
            suspects += request.inputs.map { ($0.digest, $0.kind) }
            suspects.append((request.action.stageDigest, .tree))
            if let root = request.buildRoot { suspects.append((root, .tree)) }
            if let locked = request.action.locked { suspects.append((locked, .file)) }
        }
        return suspects
    }

    /// - Returns: whether something was wrong and is out of the way.
    private func heal(_ suspects: [(digest: Digest, kind: ActionResult.Output.Kind)]) throws -> Bool {
        if suspects.isEmpty { return false }
        let lost = try session.store().heal(suspects)
        session.console.clearLive()
        for digest in lost.prefix(8) {
            session.console.warning("object \(digest) was damaged or missing; making it again")
        }
        if lost.count > 8 { session.console.warning("and \(lost.count - 8) other objects") }
        return !lost.isEmpty
    }

    /// What the store has found and made good by itself.
    private func tell() throws {
        for line in try session.store().takeNotices() { session.console.warning(line) }
    }
}
