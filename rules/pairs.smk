rule list_pairs:
    input:
        dataset=ancient(dataset_file),
        features=features_for_pairs,
        given=given_for_pairs,
    output:
        pairs="work/{dataset}/{run}/pairs/{role}.txt",
    log:
        "logs/{dataset}/{run}/list_pairs/{role}.log",
    benchmark:
        "benchmarks/{dataset}/{run}/list_pairs/{role}.tsv"
    conda:
        "../envs/colmap.yaml"
    threads: 2
    resources:
        mem_mb=memory_of("list_pairs"),
    params:
        settings=stage("pairs"),
        images=image_names,
        features=feature_options,
    shell:
        "exec trigpoint list-pairs --settings {params.settings:q} --role {wildcards.role}"
        " --dataset {input.dataset} {params.features} --output {output.pairs} > {log} 2>&1"
