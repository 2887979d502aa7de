import ForgeBase
import Glibc
import Testing

@testable import ForgeSystem

@Suite struct NamespacesTests {
    let lab: Lab

    init() throws { lab = try Lab() }

    @Test(arguments: Person.able) func theProgramIsRootOfAllIds(_ person: Person) throws {
        let script =
            "id -u; id -g; awk '{n += $3} END {print n}' /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups"
        let (code, text) = try lab.shell(person, script)
        #expect(text == "0\n0\n131072\nallow\n")
        #expect(code == 0)
    }

    @Test(arguments: Person.able) func filesCanBelongToOtherUsers(_ person: Person) throws {
        let folder = try lab.directory("files")
        let (_, text) = try lab.shell(
            person, "cd \(folder) && touch a && chown 33:65534 a && stat -c '%u %g' a && setpriv --groups 4,5 id -G")
        #expect(text == "33 65534\n0 4 5\n")
        let status = try #require(try Files.status(folder + "/a"))
        // Root's map is the identity; a user's 1 is the first id of the range.
        let expected: UInt32? = person == .ordinary ? 200_032 : geteuid() == 0 ? 33 : nil
        if let expected { #expect(status.uid == expected) }
    }

    @Test(arguments: Person.able) func theHostsProcessesCannotBeSeen(_ person: Person) throws {
        let (_, text) = try lab.shell(
            person, "cat /proc/1/comm; set -- /proc/[0-9]*; echo $#; kill -0 \(getpid()) 2>/dev/null && echo visible; :"
        )
        // The reaper and the shell.
        #expect(text == "forge-reaper\n2\n")
    }

    @Test(arguments: Person.able) func theHostNameIsForge(_ person: Person) throws {
        #expect(try lab.shell(person, "uname -n; cat /proc/sys/kernel/domainname").text == "forge\n(none)\n")
    }

    @Test(arguments: Person.able) func thereIsNoNetworkButTheLoopbackInterface(_ person: Person) throws {
        let interfaces = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort"
        #expect(try lab.shell(person, interfaces).text == "lo\n")
        #expect(
            try lab.shell(person, "tail -n 1 /proc/net/if_inet6 | cut -c1-32; wc -l </proc/net/route").text.hasSuffix(
                "1\n"))
        let host = try Command("/bin/sh", ["-c", interfaces]).run().output
        let shared = try lab.probe(person, ["network", "/bin/sh", "-c", interfaces])
        #expect(shared.text == String(decoding: host, as: UTF8.self))
    }

    @Test(arguments: Person.able) func theLoopbackInterfaceWorks(_ person: Person) throws {
        guard Host.findProgram("perl") != nil else { return }
        let script = """
            use IO::Socket::INET;
            my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die "listen: $!";
            IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $s->sockport) or die "connect: $!";
            print "connected\\n";
            """
        #expect(try lab.probe(person, ["private", "/usr/bin/perl", "-e", script]).text == "connected\n")
    }

    static let hasTaps = access("/dev/net/tun", R_OK | W_OK) == 0

    /// What machines are plugged into, and what is started in there later.
    @Test(.enabled(if: hasTaps), arguments: Person.able) func aNetworkForMachinesCanBeJoined(_ person: Person) throws {
        let interfaces =
            "cd /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort | xargs"
        let route = "tail -n +2 /proc/net/route | cut -f1,2,8"
        // The bridge has no link yet, because nobody has plugged in; its route is there all the same.
        let (code, text) = try lab.probe(person, ["bridged", "id -u", "id -u; \(interfaces); \(route)"])
        let lines = text.split(separator: "\n").sorted()
        #expect(lines == ["0", "0", "lo plug tap1 tap2", "plug\t0000630A\t00FFFFFF"])
        #expect(code == 0)
    }

    @Test(.enabled(if: hasTaps)) func whatHasJoinedDiesWithItsParent() throws {
        let number = uniqueSleep()
        let parent = try Command(Lab.probe, ["bridged", "true", "sleep \(number)"]).start()
        #expect(try eventually { try processes(with: "sleep \(number)").count > 1 })
        // The probe alone, not its group.
        kill(parent.pid, SIGKILL)
        #expect(try eventually { try processes(with: "sleep \(number)").isEmpty })
    }

    @Test func aBadBridgeIsNamed() throws {
        let bridge = Bridge(name: "plug", address: "10.99.0.", bits: 24, taps: [])
        let error = #expect(throws: ForgeError.self) {
            try Command("/bin/true", namespaces: .bridged(bridge)).start()
        }
        #expect(error?.message.contains("make the network bridge plug") == true)
        #expect(error?.code == .unsupportedHost)
        #expect(error?.remedy == "run `modprobe -a bridge tun` as root")
    }

    @Test(arguments: Person.able) func mountsStayInside(_ person: Person) throws {
        let folder = try lab.directory("mount")
        let (_, text) = try lab.shell(person, "mount -t tmpfs none \(folder) && touch \(folder)/x && ls \(folder)")
        #expect(text == "x\n")
        #expect(try Files.list(folder).isEmpty)
    }

    @Test func orphansAreBuried() throws {
        let (_, text) = try lab.shell(
            .me,
            "for i in 1 2 3; do (sleep 0.05 & ) ; done; sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status; echo end")
        #expect(text == "end\n")
    }

    @Test func namespacesNest() throws {
        let (code, text) = try lab.probe(.me, ["private", Lab.probe, "private", "/usr/bin/id", "-u"])
        #expect((code, text) == (0, "0\n"))
    }

    @Test(.enabled(if: Person.able.contains(.ordinary), "needs root and newuidmap"))
    func theHostsSecretsStaySecret() throws {
        let secret = try lab.write("secret", "x", mode: 0o600)
        #expect(try lab.shell(.ordinary, "cat \(secret)").text.hasSuffix("Permission denied\n"))
    }

    @Test(.enabled(if: Person.able.contains(.ordinary), "needs root and newuidmap"))
    func aUserWithoutARangeLearnsHowToGetOne() throws {
        let (code, text) = try lab.shell(.poor, "true")
        #expect(code == ExitCode.unsupportedHost.rawValue)
        #expect(text.contains("/etc/subuid gives the user forgetest fewer than 65535 user ids"))
        #expect(text.contains("`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 forgetest`"))
    }

    @Test func aHostWithoutUserNamespacesIsExplained() throws {
        let (code, text) = try lab.shell(
            .me, "echo 0 >/proc/sys/user/max_user_namespaces && exec \(Lab.probe) private /bin/true")
        #expect(code == ExitCode.unsupportedHost.rawValue)
        #expect(text.contains("cannot make a user namespace"))
        #expect(text.contains("user.max_user_namespaces is 0"))
        #expect(text.contains("sysctl -w user.max_user_namespaces="))
    }

    @Test func aHiddenProcFileSystemIsExplained() throws {
        // As container engines do: part of /proc is covered, so the kernel refuses a whole one to a namespace below.
        let (code, text) = try lab.shell(
            .me, "mount -t tmpfs none /proc/sys && exec \(Lab.probe) private /bin/true")
        #expect(code == ExitCode.unsupportedHost.rawValue)
        #expect(text.contains("cannot mount /proc"))
        #expect(text.contains("systempaths=unconfined"))
    }

    @Test func settingsOfTheHostAreExplained() {
        func explain(_ code: Int32, _ settings: [String: String]) -> String? {
            SpawnFailure.explanation(step: nil, code: code) { settings[$0] }.remedy
        }
        #expect(
            explain(EPERM, ["kernel/unprivileged_userns_clone": "0"])?.contains("unprivileged_userns_clone=1") == true)
        #expect(explain(EPERM, ["kernel/apparmor_restrict_unprivileged_userns": "1"])?.contains("apparmor") == true)
        #expect(explain(ENOSPC, ["user/max_user_namespaces": "5"])?.contains("max_*_namespaces") == true)
        #expect(explain(EPERM, [:])?.contains("seccomp=unconfined") == true)
        #expect(explain(EIO, [:]) == nil)
    }

    @Test func rangesAreTakenByNameOrNumberAndJoined() {
        func ranges(_ text: String) -> [IDMap.Range]? { IDMap.ranges(in: text, user: "ann", id: 1000, own: 1000) }
        let own = IDMap.Range(inside: 0, outside: 1000, count: 1)
        let whole = IDMap.Range(inside: 1, outside: 100_000, count: 65535)
        #expect(ranges("bob:5:65536\nann:100000:65536\n") == [own, whole])
        #expect(ranges("1000:100000:65536\n") == [own, whole])
        #expect(ranges("ann:100000:65535") == [own, whole])
        #expect(ranges("ann:100000:65534\n") == nil)
        #expect(ranges("") == nil)
        #expect(ranges("annabel:100000:65536\nann:x:65536\nann::\n") == nil)
        #expect(
            ranges("ann:100000:5\nann:300000:65536\n") == [
                own, IDMap.Range(inside: 1, outside: 100_000, count: 5),
                IDMap.Range(inside: 6, outside: 300_000, count: 65530),
            ])
    }
}
