import ForgeBase
import ForgePackages
import Testing

@Suite struct HostMirrorsTests {
    func read(_ files: [String: String]) throws -> Mirrors {
        let scratch = Scratch()
        for (name, text) in files { try scratch.write("etc/apt/\(name)", text) }
        return HostMirrors.read(root: scratch.path)
    }

    @Test func bothFormsOfSourcesAreRead() throws {
        let mirrors = try read([
            "sources.list": """
            # deb http://off/debian bookworm main
            deb [arch=amd64 signed-by=/k] http://one/debian/ bookworm main # comment
            deb-src http://src/debian bookworm main
            deb http://sec/debian-security bookworm-security main
            """,
            "sources.list.d/two.sources": """
            Types: deb deb-src
            URIs: http://two/debian http://one/debian
            Suites: bookworm bookworm-updates
            Components: main

            Enabled: no
            Types: deb
            URIs: http://off/debian
            Suites: bookworm
            """,
            "sources.list.d/vendor.list": "deb https://vendor/apt cloud-sdk-bookworm main\ndeb https://vendor/k8s /\n",
            "sources.list.d/ubuntu.list":
                "deb http://ubuntu/ubuntu noble main\ndeb http://ubuntu/ubuntu noble-security main\n",
            "apt.conf.d/50snapshots":
                "Acquire::Snapshots::URI::Origin::Debian \"http://snap/archive/debian/@SNAPSHOTID@/\";\n",
        ])
        #expect(
            mirrors.archives == [
                "debian": ["http://one/debian", "http://two/debian"], "debian-security": ["http://sec/debian-security"],
            ])
        #expect(mirrors.snapshots == ["debian": ["http://snap/archive/debian/@SNAPSHOTID@/"]])
    }

    @Test func aHostWithoutAptNamesNothing() throws {
        let mirrors = try read([:])
        #expect(mirrors == Mirrors())
        let error = failure { _ = try mirrors.urls(of: "debian-security") }
        #expect(error?.message == "no mirror is known for the archive “debian-security”")
        #expect(error?.remedy == "pass --mirror debian-security=URL, or set FORGE_MIRROR_DEBIAN_SECURITY=URL")
    }

    @Test func whatIsNamedTakesThePlaceOfTheHosts() throws {
        let host = Mirrors(
            archives: ["debian": ["http://host"], "other": ["http://other"]], snapshots: ["debian": ["http://snap"]])
        let named = Mirrors(
            archives: ["debian": ["http://a", "http://b"], "empty": []],
            snapshots: ["debian": [], "x": ["http://y", "http://z"]])
        let all = host.overridden(by: named)
        #expect(all.archives == ["debian": ["http://a", "http://b"], "other": ["http://other"]])
        #expect(all.snapshots == ["debian": ["http://snap"], "x": ["http://y", "http://z"]])
    }
}
