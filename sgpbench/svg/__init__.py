"""From replies to pictures: ``extract`` in the main process, everything else in confined workers (``sandbox``)."""
