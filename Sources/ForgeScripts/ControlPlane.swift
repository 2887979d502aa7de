import ForgeBase
package import ForgeEngine
import ForgeStore
import ForgeSystem

/// A program of a test's control plane. What it sees is described in `docs/boot.md`.
package enum ControlPlane {
    /// Runs it to its end, in the network of this process.
    /// - Returns: its exit status, 1 if a signal killed it.
    package static func run(_ request: ControlPlaneRequest) throws -> Int32 {
        let store = try Store(directory: request.cache, sweeping: false)
        let root = try Checkouts(store, map: try ScriptStage.ownMap()).open(request.root)
        defer { withExtendedLifetime(root) {} }
        var sandbox = Sandbox(
            root: .overlay(lower: [root.path], scratch: request.scratch),
            binds: [
                .init(request.scripts, at: ControlPlanePlace.scripts),
                .init(request.shared, at: ControlPlanePlace.shared, writable: true),
            ])
        sandbox.network = true
        sandbox.noNewPrivileges = true
        sandbox.fixedAddresses = false
        let report = try sandbox.run(
            request.command[0], Array(request.command.dropFirst()), environment: request.environment,
            directory: ControlPlanePlace.shared)
        guard case .exited(let status) = report.status else { return 1 }
        return status
    }
}
