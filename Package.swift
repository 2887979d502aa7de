// swift-tools-version: 6.2
import PackageDescription

/// One strictness for every target: Swift 6 mode, warnings are errors, and nothing leaks out of a module by accident.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// A library of the distribution, seen through a module map and a shim header.
func system(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

func module(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name + "Tests", dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

// The floors, lowest first. A module imports only modules above it in this list; `docs/design.md` says why.
let fuzzing = Context.environment["FORGE_FUZZ"] != nil

let package = Package(
    name: "forge",
    products: [
        .executable(name: "forge", targets: ["forge"]),
        .executable(name: "forge-helper", targets: ["forge-helper"]),
    ],
    targets: [
        system("CCrypto", pkgConfig: "libcrypto", apt: "libssl-dev"),
        system("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
        system("CYAML", pkgConfig: "yaml-0.1", apt: "libyaml-dev"),
        system("CZstd", pkgConfig: "libzstd", apt: "libzstd-dev"),
        system("CArchive", pkgConfig: "libarchive", apt: "libarchive-dev"),
        system("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        system("CSolv", pkgConfig: "libsolvext", apt: "libsolvext-dev"),
        system("CGit2", pkgConfig: "libgit2", apt: "libgit2-dev"),
        .target(name: "CLinux", path: "Sources/CLinux"),

        module("ForgeBase", ["CCrypto"]),
        module("ForgeSystem", ["ForgeBase", "CLinux"]),
        module("ForgeStore", ["ForgeBase", "ForgeSystem", "CSQLite", "CZstd"]),
        module("ForgeRecipe", ["ForgeBase", "ForgeSystem", "CYAML"]),
        module("ForgeEngine", ["ForgeBase", "ForgeSystem", "ForgeStore"]),
        module("ForgeScripts", ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeEngine"]),
        module("ForgePlanner", ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeEngine"]),
        module("ForgeArchive", ["ForgeBase", "ForgeSystem", "ForgeStore", "CArchive"]),
        module(
            "ForgePackages",
            ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeArchive", "CCurl", "CSolv", "CGit2"]),
        module(
            "ForgeStages",
            [
                "ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeEngine", "ForgeScripts", "ForgeArchive",
                "ForgePackages",
            ]),
        module(
            "ForgeCLI",
            ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeEngine", "ForgeScripts", "ForgePlanner"],
            resources: ["page.html", "page.css", "layout.js", "page.js"].map { .embedInCode("Page/\($0)") }),

        // The slim main program: everything a no-op build needs and nothing else.
        .executableTarget(
            name: "forge", dependencies: ["ForgeCLI"], swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),
        // One built-in action, lock or download per process, with the heavy libraries.
        .executableTarget(
            name: "forge-helper", dependencies: ["ForgeBase", "ForgeSystem", "ForgeStages", "ForgeStore"],
            swiftSettings: strict),

        tests("ForgeBase", ["ForgeBase"]),
        // What tests run in processes of their own: as another user, or as process 1 of private namespaces.
        .executableTarget(
            name: "forge-probe", dependencies: ["ForgeBase", "ForgeSystem"], path: "Tests/Probe", swiftSettings: strict),
        tests("ForgeSystem", ["ForgeBase", "ForgeSystem", "forge-probe"]),
        // Results that are the same in every process that makes them.
        .target(
            name: "StoreSamples", dependencies: ["ForgeBase", "ForgeSystem", "ForgeStore"], path: "Tests/StoreSamples",
            swiftSettings: strict),
        .executableTarget(
            name: "forge-store-probe", dependencies: ["ForgeBase", "ForgeSystem", "ForgeStore", "StoreSamples"],
            path: "Tests/StoreProbe", swiftSettings: strict),
        // Kills programs, or fills their disk, at every system call that changes something.
        .executableTarget(name: "forge-inject", path: "Tests/Inject"),
        tests(
            "ForgeStore",
            ["ForgeBase", "ForgeSystem", "ForgeStore", "StoreSamples", "forge-store-probe", "forge-inject"]),
        tests("ForgeRecipe", ["ForgeBase", "ForgeSystem", "ForgeRecipe"]),
        tests("ForgeEngine", ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeEngine"]),
        tests(
            "ForgePlanner", ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeEngine", "ForgePlanner"],
            exclude: ["Golden"]),
        tests("ForgeArchive", ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeArchive"]),
        tests(
            "ForgePackages",
            ["ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeArchive", "ForgePackages", "forge-helper"]),
        tests(
            "ForgeStages",
            [
                "ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeEngine", "ForgeArchive", "ForgePackages",
                "ForgeStages",
            ]),
        tests(
            "ForgeCLI",
            [
                "ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeEngine", "ForgePlanner", "ForgeCLI",
                "forge", "forge-helper",
            ]),

        // What must hold of every reader, whatever it is given; libFuzzer is linked by `ci/fuzz` alone.
        .target(
            name: "ForgeFuzz",
            dependencies: [
                "ForgeBase", "ForgeSystem", "ForgeStore", "ForgeRecipe", "ForgeEngine", "ForgeArchive", "ForgePackages",
                "CSQLite",
            ], path: "Tests/Fuzz/Targets", swiftSettings: strict),
        tests("ForgeFuzz", ["ForgeBase", "ForgeSystem", "ForgeFuzz"]),
    ]
        + (fuzzing
            ? [
                .executableTarget(
                    name: "forge-fuzz", dependencies: ["ForgeFuzz"], path: "Tests/Fuzz/Main",
                    swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])])
            ] : [])
)
