import ForgeBase
import ForgeSystem
import Glibc
import Testing

@testable import ForgePackages

/// Compares the resolver with the host's apt. Needs a network, so it runs when FORGE_TEST_APT is the directory of an apt
/// tree that `ci/apt-tree` made: the lists in it are what both read. FORGE_TEST_APT_COUNT and FORGE_TEST_APT_SEED choose
/// how many random lists there are and which.
@Suite(.enabled(if: Shell.variable("FORGE_TEST_APT") != nil), .serialized)
struct AptComparisonTests {
    static let shared = Result { try AptTree(directory: Shell.variable("FORGE_TEST_APT") ?? "") }
    let count = Shell.variable("FORGE_TEST_APT_COUNT").flatMap { Int($0) } ?? 5
    let seed = Shell.variable("FORGE_TEST_APT_SEED").flatMap { UInt64($0) } ?? 1

    /// Prints what people read when apt and forge both refuse.
    @Test(arguments: refused)
    func whatAptRefusesIsRefusedWithAReason(_ list: String) throws {
        let tree = try Self.shared.get()
        let error = failure {
            _ = try Selection(packages: list.split(separator: " ").map(String.init)).resolve(in: tree.index)
        }
        print("--- \(list)\n\(error?.description ?? "")")
        #expect(error?.code == .badInput)
    }

    static let refused = [
        "exim4 postfix", "ntpsec chrony", "sysvinit-core systemd-sysv", "grub-pc grub-efi-amd64", "network-manger vim",
        "mail-transport-agent", "mariadb-server mysql-server", "runit-init systemd-sysv",
    ]

    @Test func randomListsGiveTheSetThatAptGives() throws {
        let tree = try Self.shared.get()
        let index = tree.index
        var generator = SeededGenerator(seed: seed)
        let names = index.versions.filter { !$0.isEssential }.map { index.name(of: $0) }
        var equal = 0
        var refused = 0
        for round in 0..<count {
            let size = [1, 5, 5, 20, 40][round % 5]
            let list = (0..<size).map { _ in names[Int.random(in: 0..<names.count, using: &generator)] }
            let (difference, bothRefuse) = try tree.compare(list)
            if difference == nil { equal += 1 }
            if bothRefuse { refused += 1 }
            let text = difference ?? ""
            #expect(difference == nil, "seed \(seed), list \(round): \(list.joined(separator: " "))\n\(text)")
        }
        print("apt comparison: \(equal) of \(count) random lists equal, of those \(refused) refused by both")
    }

    @Test(arguments: awkward)
    func awkwardListsGiveTheSetThatAptGives(_ list: String) throws {
        let tree = try Self.shared.get()
        let index = tree.index
        let known = list.split(separator: " ").map(String.init).filter { index.names.id($0) != nil }
        let difference = try tree.compare(known).difference
        #expect(difference == nil, "\(difference ?? "")")
    }

    /// apt takes `dbus` while it tries an alternative that fails, and keeps it; nothing needs it.
    @Test func whatAptKeepsOfAFailedAlternativeIsTheOnlyKnownDifference() throws {
        let tree = try Self.shared.get()
        guard tree.index.names.id("sysvinit-core") != nil else { return }
        let difference = try tree.compare(["sysvinit-core", "xfce4"]).difference ?? ""
        #expect(
            difference.isEmpty || (difference.hasPrefix("apt alone: dbus-") && difference.contains("forge alone: \n")))
    }

    /// Where a recommendation conflicts with another, apt undoes more than forge does: both sets are valid, and a few
    /// differ. So this asks for four lists of five, and that forge refuses nothing that apt takes.
    @Test func listsWithRecommendsMostlyGiveTheSetThatAptGives() throws {
        let tree = try Self.shared.get()
        let names = tree.index.versions.filter { !$0.isEssential }.map { tree.index.name(of: $0) }
        var generator = SeededGenerator(seed: seed &+ 1)
        var equal = 0
        for _ in 0..<count {
            let list = (0..<3).map { _ in names[Int.random(in: 0..<names.count, using: &generator)] }
            let difference = try tree.compare(list, recommends: true).difference ?? ""
            if difference.isEmpty { equal += 1 }
            #expect(!difference.contains("forge says: t"), "\(list)\n\(difference)")
        }
        #expect(equal * 5 >= count * 4)
        print("apt comparison: \(equal) of \(count) lists with recommends equal")
    }

    @Test func pinnedPackagesOfBackportsGiveTheSetThatAptGives() throws {
        let tree = try Self.shared.get()
        let backports = tree.index.versions.filter { version in
            version.origins.contains { tree.index.origins[Int($0)].suite.hasSuffix("-backports") }
        }.map { tree.index.name(of: $0) }
        if backports.isEmpty { return }
        var generator = SeededGenerator(seed: seed)
        var equal = 0
        for _ in 0..<count {
            let list = (0..<3).map { _ in backports[Int.random(in: 0..<backports.count, using: &generator)] }
            // Even lists pin every package of the suite, odd ones only those that are asked for.
            let pinned = Bool.random(using: &generator) ? ["*"] : list
            let pins = [PackagePin(packages: pinned, suite: "bookworm-backports", priority: 600)]
            let difference = try tree.compare(list, pins: pins).difference
            if difference == nil { equal += 1 }
            #expect(difference == nil, "\(list) pinned \(pinned)\n\(difference ?? "")")
        }
        print("apt comparison: \(equal) of \(count) lists with pins equal")
    }

    static let awkward = [
        "mail-transport-agent-missing exim4", "postfix", "exim4 postfix", "ntpsec chrony", "default-mta", "xfce4",
        "task-xfce-desktop", "gnome", "kde-standard", "build-essential", "openssh-server",
        "systemd-sysv cloud-init containerd", "network-manager", "default-jre", "python3-pip", "texlive",
        "apache2 nginx",
        "linux-image-amd64 grub-pc", "linux-image-amd64 grub-efi-amd64", "grub-pc grub-efi-amd64", "dbus-x11",
        "emacs", "vim-gtk3", "libreoffice", "docker.io podman", "iptables nftables", "rsyslog", "mariadb-server",
        "mariadb-server default-mysql-server", "postgresql", "usrmerge", "elogind", "sysvinit-core", "runit-init",
        "live-boot live-config", "debootstrap mmdebstrap", "qemu-system-x86", "wine", "steam-installer",
    ]
}

/// An apt of its own directories, which nothing of the host's configuration reaches.
struct AptTree {
    let directory: String
    let index: PackageIndex

    init(directory: String) throws {
        self.directory = directory
        let start = SystemTime().monotonic()
        var index = PackageIndex(architecture: "amd64")
        for line in String(decoding: try Files.read("\(directory)/etc/sources.list"), as: UTF8.self).split(
            separator: "\n")
        {
            var words = line.split(separator: " ").map(String.init).filter { !$0.hasPrefix("[") }
            guard words.count >= 4, words[0] == "deb" else { continue }
            words.removeFirst()
            let (uri, suite) = (words[0], words[1])
            let stem = (uri.drop { $0 != "/" }.dropFirst(2) + "/dists/" + suite).replacing("/", with: "_")
            for component in words[2...] {
                let file = "\(directory)/state/lists/\(stem)_\(component)_binary-amd64_Packages"
                guard let bytes = try Files.readIfPresent(file) else { continue }
                let pin = suite.hasSuffix("-backports") ? 100 : 500
                let origin = IndexOrigin(
                    archive: "debian", suite: suite, codename: suite, component: component, pin: pin)
                try index.add(bytes, origin: origin, file: file)
            }
        }
        self.index = index
        print("read \(index.count) packages in \((SystemTime().monotonic() - start) / 1_000_000) ms")
    }

    /// Nil if forge and apt choose the same or both refuse; else what differs.
    func compare(
        _ list: [String], pins: [PackagePin] = [], recommends: Bool = false
    ) throws -> (difference: String?, bothRefuse: Bool) {
        let scratch = Scratch()
        try scratch.write(
            "preferences",
            pins.map { pin in
                "Package: \(pin.packages.joined(separator: " "))\nPin: release n=\(pin.suite ?? "*")\n"
                    + "Pin-Priority: \(pin.priority)\n\n"
            }.joined())
        let base = Resolver(index: index, policy: Policy(pins: pins)).base(.required)
            .map { index.name(of: index.versions[Int($0)]) }
        let roots = base + ["usr-is-merged"] + list
        let names = roots.joined(separator: " ")
        let apt = try Shell.run(
            "APT_CONFIG=\(directory)/apt.conf apt-get install -y -qq --print-uris -o Acquire::ForceHash=SHA256 "
                + "-o Dir::Etc::preferences=\(scratch.path)/preferences "
                + "--\(recommends ? "" : "no-")install-recommends \(names)")
        let uris = apt.lines.filter { $0.hasPrefix("'") }
        let theirs: [String] = uris.compactMap { line in
            line.split(separator: " ").dropFirst().first.map { String($0).replacing("%3a", with: ":") }
        }
        var ours: [String] = []
        var refusal = ""
        do {
            let start = SystemTime().monotonic()
            defer { print("chose and verified in \((SystemTime().monotonic() - start) / 1_000_000) ms") }
            let solution = try Selection(packages: list, recommends: recommends, pins: pins).resolve(in: index)
            refusal = solution.notes.joined()
            ours = solution.versions.map { id in
                let version = index.versions[Int(id)]
                let architecture = version.isAllArchitectures ? "all" : "amd64"
                return "\(index.name(of: version))_\(index.versionText(of: version))_\(architecture).deb"
            }
        } catch {
            refusal = error.description
        }
        let missing: [String] = Set(theirs).subtracting(ours).sorted()
        let extra: [String] = Set(ours).subtracting(theirs).sorted()
        if missing.isEmpty && extra.isEmpty { return (nil, ours.isEmpty) }
        let text =
            "apt alone: \(missing.joined(separator: " "))\nforge alone: \(extra.joined(separator: " "))\n"
            + "forge says: \(refusal)\napt says: \(apt.status == 0 ? "" : apt.text)"
        return (text, false)
    }
}
