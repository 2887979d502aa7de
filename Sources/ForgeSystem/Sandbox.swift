import CLinux
package import ForgeBase
import Glibc

/// A root of its own for a program: what it may see, and nothing else.
///
/// For use where this process is uid 0 of a user namespace (a child of `Command` with `.private` namespaces). The
/// program gets new mount, pid, uts and ipc namespaces, so that neither the mounts nor a process outlive it.
package struct Sandbox: Sendable {
    /// What becomes `/`.
    package enum Root: Sendable, Equatable {
        /// Directories stacked read-only, the first uppermost, below a layer of changes. `scratch` is a directory of
        /// this use alone, which gets `upper` (the changes, kept for the next run), `work` and `root` (mount point).
        case overlay(lower: [String], scratch: String)
        /// A directory that the program changes in place.
        case directory(String)
    }

    /// A file or directory that the program also sees.
    package struct Bind: Sendable, Equatable {
        /// A path out here.
        package var source: String
        /// A path in there, absolute. Made if it is not there: in the changes, or in the directory that is the root.
        package var target: String
        package var writable: Bool

        package init(_ source: String, at target: String, writable: Bool = false) {
            self.source = source
            self.target = target
            self.writable = writable
        }
    }

    package var root: Root
    /// In this order; later ones may lie in earlier ones.
    package var binds: [Bind] = []
    /// The network of this process, which the program of a fetch stage needs.
    package var network = false
    /// Empty `/tmp` and `/run` in memory, so that nothing left there reaches the root.
    package var emptyTemporaries = true
    /// Set-user-id programs and file capabilities give no rights. Not for maintainer scripts.
    package var noNewPrivileges = false
    /// The same addresses in every run, for programs whose output depends on them.
    package var fixedAddresses = true
    /// Stays in this process's session: for a shell.
    package var keepsTerminal = false
    package var hostName = "forge"
    /// Seconds after which the program is killed.
    package var timeoutSeconds: Double?

    package init(root: Root, binds: [Bind] = []) {
        self.root = root
        self.binds = binds
    }

    /// Runs a program to its end; then nothing that it started is left.
    /// - Parameters:
    ///   - program: an absolute path in the new root.
    ///   - arguments: without `argv[0]`.
    ///   - environment: complete.
    ///   - directory: a path in the new root.
    ///   - output: where standard output and error go; descriptors 1 and 2 of this process if nil.
    /// - Throws: `stageFailed` if the program can't be started or runs too long, `unsupportedHost` or `io` if the
    ///   sandbox can't be made. A bad exit status is no error.
    package func run(
        _ program: String, _ arguments: [String] = [], environment: [(String, String)], directory: String = "/",
        input: Command.Input = .null, output: Int32? = nil
    ) throws(ForgeError) -> ExitReport {
        let command = Command(
            program, arguments, environment: environment, directory: directory, input: input,
            output: .descriptor(output ?? 1), errors: .descriptor(output ?? 2), keepsTerminal: keepsTerminal)
        let (report, timedOut) = try start(command).drain(timeoutSeconds: timeoutSeconds)
        if timedOut, let timeoutSeconds {
            throw ForgeError(
                .stageFailed, "\(program) ran longer than \(timeoutSeconds) s and was stopped",
                details: [command.quoted])
        }
        return report
    }

    /// Starts a program; the caller drains and reaps it. The namespaces of `command` have no meaning here.
    package func start(_ command: Command) throws(ForgeError) -> Child {
        try prepare()
        var plan = SpawnPlan()
        plan.program = command.executable
        plan.namespaces = NamespaceFlags.mount | NamespaceFlags.pid | NamespaceFlags.uts | NamespaceFlags.ipc
        if !network { plan.namespaces |= NamespaceFlags.network }
        plan.steps = try steps()
        return try command.start(plan) { explain($0, command) }
    }

    /// Makes the directories of an overlay.
    private func prepare() throws(ForgeError) {
        guard case .overlay(let lower, let scratch) = root else {
            if case .directory(let path) = root, !Files.isDirectory(path) {
                throw ForgeError(.io, "the root of the sandbox is no directory: \(path)")
            }
            return
        }
        for path in lower where !Files.isDirectory(path) {
            throw ForgeError(
                .io, "the root of the sandbox is no directory: \(path)", remedy: "run `forge cache repair`")
        }
        // Left by an overlay that was mounted without syncing (`volatile`); the kernel would refuse the next mount.
        try Files.remove(scratch + "/work")
        for name in ["upper", "work", "root"] {
            let path = "\(scratch)/\(name)"
            if Files.isDirectory(path) { continue }
            try Files.makeDirectories(path)
            // The upper directory's mode is the mode of `/` in there.
            chmod(path, 0o755)
        }
    }

    /// What is done in the new namespaces, in order. Sources are opened before the root changes and targets are looked
    /// up after it, so that no link in the new root leads out.
    func steps() throws(ForgeError) -> [SpawnStep] {
        var steps: [SpawnStep] = [.privateMounts, .hostName(hostName)]
        if !network { steps.append(.loopback) }
        let devices = Self.devices.map { Bind("/dev/" + $0, at: "/dev/" + $0, writable: true) }
        let opened = devices + binds
        let first = steps.count
        for bind in opened {
            steps.append(
                SpawnStep(
                    operation: .openTree, source: bind.source, flags: bind.writable ? 0 : 1,
                    purpose: "bind \(bind.source)"))
        }
        let place = { (index: Int) in
            SpawnStep(
                operation: .place, target: opened[index].target, flags: UInt(first + index),
                purpose: "bind \(opened[index].source) at \(opened[index].target)")
        }
        steps += try rootSteps()
        steps += Self.deviceSteps
        steps += devices.indices.map(place)
        if emptyTemporaries {
            let flags = MountFlags.noSetID | MountFlags.noDevices
            steps.append(.mount("tmpfs", at: "/tmp", flags: flags, data: "mode=1777"))
            steps.append(.mount("tmpfs", at: "/run", flags: flags, data: "mode=755"))
        }
        steps += (devices.count..<opened.count).map(place)
        steps.append(SpawnStep(operation: .detachRoot, purpose: "leave the old root"))
        steps.append(SpawnStep(operation: .newKeyring, purpose: "leave the session keyring"))
        if noNewPrivileges { steps.append(SpawnStep(operation: .noNewPrivileges, purpose: "give up new privileges")) }
        if fixedAddresses { steps.append(SpawnStep(operation: .fixedAddresses, purpose: "fix the addresses")) }
        return steps
    }

    private func rootSteps() throws(ForgeError) -> [SpawnStep] {
        let pivot = { (path: String) in
            SpawnStep(operation: .pivot, target: path, purpose: "make \(path) the root")
        }
        switch root {
        case .directory(let path):
            var bind = SpawnStep.mount("", at: path, flags: MountFlags.bind | MountFlags.recursive)
            bind.source = path
            bind.purpose = "bind the root \(path)"
            return [bind, pivot(path)]
        case .overlay(let lower, let scratch):
            let data =
                "lowerdir=\(lower.map(Self.escaped).joined(separator: ":")),upperdir=\(Self.escaped(scratch))/upper,"
                + "workdir=\(Self.escaped(scratch))/work,userxattr,volatile,index=off"
            // No `index`, whatever the host's default: links would count differently. The kernel takes one page.
            guard data.utf8.count < 4096 else {
                throw ForgeError(
                    .io, "the paths of the sandbox are too long for one mount",
                    details: ["\(lower.count) directories, \(data.utf8.count) bytes"],
                    remedy: "use a cache directory with a shorter path (--cache DIR)")
            }
            let target = scratch + "/root"
            return [.mount("overlay", at: target, data: data, purpose: "stack the root on \(scratch)"), pivot(target)]
        }
    }

    /// What separates options of an overlay mount, in a path.
    private static func escaped(_ path: String) -> String {
        path.reduce(into: "") { result, character in
            if "\\:,".contains(character) { result += "\\" }
            result.append(character)
        }
    }

    /// A user namespace can't make devices, so those of the host are shown.
    private static let devices = ["null", "zero", "full", "random", "urandom", "tty"]

    /// `/proc`, and a `/dev` with what every program expects.
    private static let deviceSteps: [SpawnStep] = {
        let quiet = MountFlags.noSetID | MountFlags.noExecutables
        return [
            .mount("proc", at: "/proc", flags: quiet | MountFlags.noDevices),
            .mount("tmpfs", at: "/dev", flags: quiet, data: "mode=755,size=64m"),
            .mount("devpts", at: "/dev/pts", flags: quiet, data: "newinstance,ptmxmode=0666,mode=620,gid=5"),
            .directory("/dev/shm"),
            .mount("tmpfs", at: "/dev/shm", flags: quiet | MountFlags.noDevices, data: "mode=1777"),
            .symlink("pts/ptmx", at: "/dev/ptmx"),
            .symlink("/proc/self/fd", at: "/dev/fd"),
            .symlink("/proc/self/fd/0", at: "/dev/stdin"),
            .symlink("/proc/self/fd/1", at: "/dev/stdout"),
            .symlink("/proc/self/fd/2", at: "/dev/stderr"),
        ]
    }()
}

extension Sandbox {
    /// `OVERLAYFS_SUPER_MAGIC` of <linux/magic.h>.
    private static let overlayMagic: UInt64 = 0x794c_7630

    /// Why a program could not be started in the sandbox.
    func explain(_ failure: SpawnFailure, _ command: Command) -> ForgeError {
        if failure.phase == FORGE_AT_CLONE && failure.code != EAGAIN { return failure.namespaceError() }
        guard failure.phase == FORGE_AT_STEP, let step = failure.step else {
            return failure.programError(command, code: .stageFailed)
        }
        if step.type == "proc" { return failure.namespaceError() }
        var error = ForgeError(.io, "cannot \(step.purpose): \(String(cString: strerror(failure.code)))")
        if step.type == "overlay", case .overlay(_, let scratch) = root {
            error.code = .unsupportedHost
            error.remedy = nil
            if forge_file_system_type(scratch) == Self.overlayMagic {
                error.details = ["\(scratch) is itself on an overlay, as in a container"]
                error.remedy = "put the cache on a volume or another real file system with --cache DIR"
            } else {
                error.details = ["the file system of \(scratch) must have user extended attributes and d_type"]
                error.remedy = "put the cache on ext4, xfs or btrfs with --cache DIR, on Linux 5.12 or newer"
            }
        }
        if failure.code == ENOSYS {
            error = ForgeError(
                .unsupportedHost, error.message, details: ["the kernel is \(Host.kernelRelease)"],
                remedy: "use Linux 5.12 or newer")
        }
        return error
    }
}
