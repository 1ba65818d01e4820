"""What tests share: servers, programs, builders of archives, and ways to ask an index."""
