import CLinux
package import ForgeBase
import Glibc

/// Removal of trees whose files belong to the ids of a user namespace.
package enum Removal {
    /// Removes a file, or a directory with everything in it; what is not there is fine. Follows no link.
    ///
    /// An ordinary user may not remove files of other ids below a directory, even their own ranges', so where that
    /// fails the removal is done again as uid 0 of a user namespace, in a child.
    package static func remove(_ path: String) throws(ForgeError) {
        if forge_remove_tree(path) == 0 { return }
        let code = errno
        guard code == EACCES || code == EPERM, geteuid() != 0 else {
            throw .system("cannot remove \(path)", code: code)
        }
        var plan = SpawnPlan()
        plan.namespaces = NamespaceFlags.user
        plan.idMap = try IDMap.current()
        plan.steps = [SpawnStep(operation: .remove, target: path, purpose: "remove \(path)")]
        do {
            let spawned = try plan.start()
            var usage = forge_usage()
            _ = forge_reap(spawned.pid, &usage)
            close(spawned.pidfd)
        } catch let failure as SpawnFailure {
            guard failure.phase == FORGE_AT_STEP else { throw failure.namespaceError() }
            throw .system("cannot remove \(path)", code: failure.code)
        } catch let error as ForgeError {
            throw error
        } catch {
            throw ForgeError(.bug, "removing \(path): \(error)")
        }
    }
}
