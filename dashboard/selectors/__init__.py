"""Reading for pages: rows of one client, client first; the operators' own read across clients and say so."""
