rule import_database:
    input:
        dataset=ancient(dataset_file),
        features="work/{dataset}/{run}/features.h5",
        matches="work/{dataset}/{run}/matches.h5",
        pairs="work/{dataset}/{run}/pairs/map.txt",
    output:
        database=temp("work/{dataset}/{run}/imported.db"),
    log:
        "logs/{dataset}/{run}/import_database.log",
    benchmark:
        "benchmarks/{dataset}/{run}/import_database.tsv"
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=memory_of("import_database"),
    params:
        settings=stage("import"),
        calibration=calibration_digest,
    shell:
        "exec trigpoint import-database --settings {params.settings:q}"
        " --dataset {input.dataset} --features {input.features} --matches {input.matches}"
        " --pairs {input.pairs} --output {output.database} > {log} 2>&1"


rule verify_pairs:
    input:
        dataset=ancient(dataset_file),
        database="work/{dataset}/{run}/imported.db",
    output:
        database="work/{dataset}/{run}/database.db",
    log:
        "logs/{dataset}/{run}/verify_pairs.log",
    benchmark:
        "benchmarks/{dataset}/{run}/verify_pairs.tsv"
    conda:
        "../envs/colmap.yaml"
    threads: 8
    resources:
        mem_mb=memory_of("verify_pairs"),
    params:
        settings=stage("verification"),
    shell:
        "exec trigpoint verify-pairs --settings {params.settings:q}"
        " --dataset {input.dataset} --database {input.database} --num-threads {threads}"
        " --output {output.database} > {log} 2>&1"


rule map:
    input:
        dataset=ancient(dataset_file),
        database="work/{dataset}/{run}/database.db",
    output:
        model=directory("work/{dataset}/{run}/model"),
        mapping="work/{dataset}/{run}/mapping.json",
    log:
        "logs/{dataset}/{run}/map.log",
    benchmark:
        "benchmarks/{dataset}/{run}/map.tsv"
    conda:
        "../envs/colmap.yaml"
    threads: 8
    resources:
        mem_mb=memory_of("map"),
        runtime="24h",
    params:
        settings=stage("mapping"),
        calibration=calibration_digest,
    shell:
        "exec trigpoint map --settings {params.settings:q} --dataset {input.dataset}"
        " --database {input.database} --num-threads {threads}"
        " --output {output.model} --log {output.mapping} > {log} 2>&1"
