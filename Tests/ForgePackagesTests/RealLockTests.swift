import ForgeBase
import ForgePackages
import ForgeRecipe
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// Locks Debian itself from the mirror that FORGE_TEST_MIRROR names (its `debian` and `debian-security` below one URL).
@Suite(.enabled(if: Shell.variable("FORGE_TEST_MIRROR") != nil), .serialized)
struct RealLockTests {
    static let packages = """
        systemd-sysv dbus cloud-init containerd runc containernetworking-plugins openssh-server iproute2 iptables nftables \
        kmod udev ca-certificates curl ethtool socat conntrack ebtables ipset e2fsprogs xfsprogs parted gdisk lvm2 \
        cryptsetup-bin open-iscsi nfs-common multipath-tools chrony less nano procps psmisc strace tcpdump jq zstd \
        xz-utils pigz rsync systemd-resolved linux-image-amd64
        """

    @Test func aNodeIsLockedAndItsLockIsReadAgain() throws {
        let scratch = Scratch()
        let base = try #require(Shell.variable("FORGE_TEST_MIRROR"))
        let mirrors = Mirrors(archives: ["debian": ["\(base)/debian"], "debian-security": ["\(base)/debian-security"]])
        let store = try Store(directory: scratch.path + "/cache")
        let request = DebianRequest(
            suites: ["bookworm", "bookworm-updates", "bookworm-security"].map {
                .init(archive: $0.hasSuffix("security") ? "debian-security" : "debian", suite: $0)
            }, selection: Selection(packages: RealLockTests.packages.split(separator: " ").map(String.init)))
        let reader = SuiteReader(
            source: Fetcher(partialDirectory: scratch.partial), store: store,
            verifier: SignatureVerifier(scratch: scratch.path + "/tmp"), now: Int64(time(nil)))
        let locker = DebianLocker(reader: reader, mirrors: mirrors, recipeFolder: "")
        let start = SystemTime().monotonic()
        let first = try locker.lock(
            id: "packages", parameters: ["suite": "bookworm"], request: request, previous: nil, update: .none)
        let middle = SystemTime().monotonic()
        let second = try locker.lock(
            id: "packages", parameters: ["suite": "bookworm"], request: request, previous: first.entry, update: .all)
        let end = SystemTime().monotonic()
        print(
            "locked \(first.entry.list.count) packages in \((middle - start) / 1_000_000) ms, again with a warm store in",
            "\((end - middle) / 1_000_000) ms; notes \(first.notes)")
        #expect(second.entry == first.entry && second.changes.isEmpty)
        let file = LockFile(entries: [first.entry])
        try file.save(scratch.path + "/forge.lock")
        #expect(try LockFile.load(scratch.path + "/forge.lock") == file)
        if let copy = Shell.variable("FORGE_TEST_LOCK_COPY") { try file.save(copy) }
    }
}
