"""The leaderboard: published results in, a folder of static files out. ``build.build_site`` does it."""
