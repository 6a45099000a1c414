"""What the servers' command lines name: `hosted.build` on forzium."""

from hosted import build

app = build("forzium")
