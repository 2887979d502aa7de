import CLinux
package import ForgeBase
import Glibc

/// Which namespaces a child gets of its own.
package enum Namespaces: Sendable, Equatable {
    /// The host's.
    case none
    /// New user, mount, pid, uts and ipc namespaces, as uid 0 of 65,536 ids, with its own `/proc`; and without a
    /// network but for the loopback interface, unless `network` is true.
    case `private`(network: Bool)

    /// As `private` without a network, and with a network of its own for virtual machines.
    case bridged(Bridge)
    /// The user and network namespaces of a child, by its `pidfd`; all else is the host's.
    case joined(Int32)

    var flags: UInt32 {
        let base =
            NamespaceFlags.user | NamespaceFlags.mount | NamespaceFlags.pid | NamespaceFlags.uts | NamespaceFlags.ipc
        switch self {
        case .none, .joined: return 0
        case .private(let network): return network ? base : base | NamespaceFlags.network
        case .bridged: return base | NamespaceFlags.network
        }
    }

    /// What the child does to its new namespaces. The processes of the host vanish with the host's `/proc`.
    var steps: [SpawnStep] {
        let flags = MountFlags.noSetID | MountFlags.noDevices | MountFlags.noExecutables
        let base: [SpawnStep] = [.privateMounts, .hostName("forge"), .mount("proc", at: "/proc", flags: flags)]
        switch self {
        case .none: return []
        case .private(let network): return base + (network ? [] : [.loopback])
        case .bridged(let bridge): return base + [.loopback] + bridge.steps
        case .joined(let pidfd):
            return [SpawnStep(operation: .join, flags: UInt(pidfd), purpose: "join the network of the control plane")]
        }
    }
}

/// A bridge with an address, and taps that virtual machines are plugged into.
package struct Bridge: Sendable, Equatable {
    package var name: String
    /// IPv4.
    package var address: String
    /// Bits of the network's part of the address.
    package var bits: Int
    package var taps: [String]

    package init(name: String, address: String, bits: Int, taps: [String]) {
        self.name = name
        self.address = address
        self.bits = bits
        self.taps = taps
    }

    /// What makes taps.
    private static let device = "/dev/net/tun"

    /// - Throws: `unsupportedHost` if this host can't make taps.
    package static func check() throws(ForgeError) {
        guard access(device, R_OK | W_OK) != 0 else { return }
        let missing = !Files.exists(device)
        throw ForgeError(
            .unsupportedHost, missing ? "there is no \(device)" : "\(device) can't be opened by this user",
            details: ["virtual machines are plugged into a network with it"],
            remedy: missing
                ? "run `modprobe tun` as root; start a container with `--device /dev/net/tun`"
                : "run `chmod 0666 \(device)` as root")
    }

    var steps: [SpawnStep] {
        [
            SpawnStep(
                operation: .bridge, source: address, target: name, flags: UInt(bits),
                purpose: "make the network bridge \(name)")
        ]
            + taps.map {
                SpawnStep(operation: .tap, source: name, target: $0, purpose: "make the network interface \($0)")
            }
    }
}

/// How the ids of a new user namespace map to those of the host.
///
/// The sources of the ranges are subuid(5) and newuidmap(1).
package struct IDMap: Sendable, Equatable {
    /// Ids `inside ..< inside + count` of the namespace are `outside ..< outside + count` of the host.
    package struct Range: Sendable, Equatable {
        package var inside: UInt32
        package var outside: UInt32
        package var count: UInt32

        package init(inside: UInt32, outside: UInt32, count: UInt32) {
            self.inside = inside
            self.outside = outside
            self.count = count
        }
    }

    package var uids: [Range]
    package var gids: [Range]
    /// The programs that may write the maps; nil for root, who writes them without help.
    package var helpers: (uids: String, gids: String)?

    package static func == (lhs: IDMap, rhs: IDMap) -> Bool {
        lhs.uids == rhs.uids && lhs.gids == rhs.gids && lhs.helpers?.uids == rhs.helpers?.uids
            && lhs.helpers?.gids == rhs.helpers?.gids
    }

    /// How many ids a namespace has: those of every Debian and Arch system user, and `nobody`.
    package static let size: UInt32 = 65536

    /// The map of root: the ids of the host, so that what is made inside is owned by the same ids outside.
    package static let identity = IDMap(
        uids: [Range(inside: 0, outside: 0, count: size)], gids: [Range(inside: 0, outside: 0, count: size)])

    /// The map for whoever runs this process.
    /// - Throws: `unsupportedHost` with the command that gives an ordinary user a range of ids.
    package static func current() throws(ForgeError) -> IDMap {
        guard geteuid() != 0 else { return identity }
        let user = Host.userName
        guard let uidHelper = Host.findProgram("newuidmap"), let gidHelper = Host.findProgram("newgidmap") else {
            throw ForgeError(
                .unsupportedHost, "newuidmap and newgidmap are not installed",
                details: ["an ordinary user needs them to own the files of an image in a user namespace"],
                remedy: "run `apt install uidmap` (Debian, Ubuntu) or `pacman -S shadow` (Arch), as root")
        }
        func map(_ file: String, _ id: UInt32, _ kind: String) throws(ForgeError) -> [Range] {
            let text = String(decoding: try Files.readIfPresent(file) ?? [], as: UTF8.self)
            guard let ranges = ranges(in: text, user: user, id: geteuid(), own: id) else {
                throw ForgeError(
                    .unsupportedHost, "\(file) gives the user \(user) fewer than \(size - 1) \(kind)",
                    details: ["the files of an image belong to many users, which need ids of their own"],
                    remedy: "run `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \(user)` as root")
            }
            return ranges
        }
        return IDMap(
            uids: try map("/etc/subuid", geteuid(), "user ids"), gids: try map("/etc/subgid", getegid(), "group ids"),
            helpers: (uidHelper, gidHelper))
    }

    /// The map made of a user's ranges in the text of `/etc/subuid` or `/etc/subgid`: 0 is the user, the rest follow.
    /// - Parameters:
    ///   - id: the user id, which may stand for the name in both files.
    ///   - own: what 0 maps to.
    /// - Returns: Nil if the ranges are too small.
    package static func ranges(in text: String, user: String, id: UInt32, own: UInt32) -> [Range]? {
        var result = [Range(inside: 0, outside: own, count: 1)]
        var next: UInt32 = 1
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, fields[0] == user || fields[0] == String(id), next < size,
                let start = UInt32(fields[1]), let count = UInt32(fields[2]), count > 0
            else { continue }
            let used = min(count, size - next)
            result.append(Range(inside: next, outside: start, count: used))
            next += used
        }
        return next == size ? result : nil
    }

    /// Writes the maps of a child that waits at its gate.
    func apply(to pid: Int32) throws(ForgeError) {
        guard let helpers else {
            try write(gids, to: "/proc/\(pid)/gid_map")
            try write(uids, to: "/proc/\(pid)/uid_map")
            return
        }
        // Both at once: they take most of the time that a new namespace costs.
        let runs = [(helpers.uids, uids), (helpers.gids, gids)].map { helper, ranges in
            let numbers = [UInt32(pid)] + ranges.flatMap { [$0.inside, $0.outside, $0.count] }
            return Command(helper, numbers.map(String.init))
        }
        let children = try start(runs)
        for (command, child) in zip(runs, children) { try finish(command, child) }
    }

    private func write(_ ranges: [Range], to path: String) throws(ForgeError) {
        let text = ranges.map { "\($0.inside) \($0.outside) \($0.count)\n" }.joined()
        do throws(ForgeError) {
            try FileDescriptor(opening: path, flags: O_WRONLY).write(Array(text.utf8))
        } catch {
            throw ForgeError(
                .unsupportedHost, "cannot map the ids of a user namespace", details: [error.message],
                remedy: "root must own ids 0 to 65535 here; in a container, give it that range, or run as a user")
        }
    }

    private func start(_ commands: [Command]) throws(ForgeError) -> [Child] {
        var children: [Child] = []
        for command in commands { children.append(try command.start()) }
        return children
    }

    private func finish(_ helper: Command, _ child: Child) throws(ForgeError) {
        var output: [UInt8] = []
        let (report, _) = try child.drain { bytes, _ throws(ForgeError) in output += bytes }
        guard !report.succeeded else { return }
        throw ForgeError(
            .unsupportedHost, "\(helper.executable) cannot map the ids of a user namespace",
            details: [String(decoding: output, as: UTF8.self).trimmed, "it \(report.status)"],
            remedy: "check that \(helper.executable) is set-user-id root or has its file capability, "
                + "and the lines of this user in /etc/subuid and /etc/subgid")
    }
}

extension SpawnFailure {
    /// The error of a child that should have had its own namespaces.
    func namespaceError() -> ForgeError {
        let reason = String(cString: strerror(code))
        let what = step.map { "cannot \($0.purpose) in a new namespace" } ?? "cannot make a user namespace"
        var error = ForgeError(.unsupportedHost, "\(what): \(reason)")
        (error.details, error.remedy) = Self.explanation(
            step: step, code: code,
            setting: { name in
                ((try? Files.readIfPresent("/proc/sys/" + name)) ?? nil).map {
                    String(decoding: $0, as: UTF8.self).trimmed
                }
            })
        return error
    }

    /// Why namespaces fail on this host, and what to do. The settings are those of Debian, Ubuntu and containers.
    static func explanation(
        step: SpawnStep?, code: Int32, setting: (String) -> String?
    ) -> (details: [String], remedy: String?) {
        if setting("user/max_user_namespaces") == "0" {
            return (["user.max_user_namespaces is 0"], "run `sysctl -w user.max_user_namespaces=65536` as root")
        }
        if setting("kernel/unprivileged_userns_clone") == "0" {
            return (
                ["kernel.unprivileged_userns_clone is 0"], "run `sysctl -w kernel.unprivileged_userns_clone=1` as root"
            )
        }
        if setting("kernel/apparmor_restrict_unprivileged_userns") == "1", code == EPERM || code == EACCES {
            return (
                ["AppArmor takes all rights from user namespaces of programs without a profile"],
                "run `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` as root, or add a profile for forge"
            )
        }
        if step?.type == "proc" {
            return (
                ["the host's /proc is partly hidden, as in a container, and the kernel allows no other one then"],
                "run the container with `--security-opt systempaths=unconfined` (Docker) "
                    + "or `--security-opt unmask=ALL` (Podman)"
            )
        }
        if let step, [.bridge, .tap].contains(step.operation) {
            return (
                ["the kernel's modules bridge and tun make networks for machines"],
                "run `modprobe -a bridge tun` as root"
            )
        }
        if code == ENOSPC || code == EUSERS {
            return (["too many namespaces, or nested too deeply"], "raise user.max_*_namespaces with sysctl, as root")
        }
        if code == EPERM {
            return (
                ["the kernel, or the filter of a container, forbids it"],
                "in a container, run it with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`; "
                    + "in a chroot, run forge outside of it"
            )
        }
        return ([], nil)
    }
}

extension String {
    /// Without blanks and line ends at both ends.
    package var trimmed: String {
        let blanks: Set<Character> = [" ", "\n", "\t", "\r", "\r\n"]
        guard let first = firstIndex(where: { !blanks.contains($0) }),
            let last = lastIndex(where: { !blanks.contains($0) })
        else { return "" }
        return String(self[first...last])
    }
}
